//! stub
use crate::arguments::Cli;
use crate::failure::Result;
use crate::output::Output;
use crate::remote::Endpoint;
/// stub
pub fn run(_: &Cli, _: &Endpoint, _: &mut Output) -> Result<()> {
    Ok(())
}
