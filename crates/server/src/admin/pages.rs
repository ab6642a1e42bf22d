//! What is where.
//!
//! | path | answers |
//! |---|---|
//! | `/` | links to the others |
//! | `/healthz` | 200 while writes are possible or will be, 503 and why otherwise |
//! | `/readyz` | 200 while clients should come, 503 and why otherwise: a node of a cluster without leaders |
//! | `/metrics` | the figures, for Prometheus |
//! | `/status` | the same for people and scripts, in JSON |

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::health::{Health, Verdict};
use super::{Shown, figures, status};

/// How `/metrics` is written.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The pages of the server shown.
pub fn router(shown: Shown) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status_page))
        .layer(map_response(with_headers))
        .with_state(shown)
}

/// Every answer is of its moment, and is what it says it is.
async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn healthz(State(shown): State<Shown>) -> Response {
    answer(Health::of(&shown).is_well())
}

async fn readyz(State(shown): State<Shown>) -> Response {
    answer(Health::of(&shown).is_ready())
}

fn answer(verdict: Verdict) -> Response {
    match verdict {
        Ok(word) => (StatusCode::OK, format!("{word}\n")).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    match figures::text(&shown) {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status_page(State(shown): State<Shown>) -> Response {
    Json(status::object(&shown)).into_response()
}

async fn index() -> Html<&'static str> {
    Html(include_str!("index.html"))
}
