//! What somebody who misspelt a name may have meant.

/// The number of letters to insert, remove, change or swap with their neighbour that still counts
/// as a slip of the finger.
const MOST_SLIPS: usize = 2;

/// The name closest to `written`, if one is close.
pub fn closest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_ascii_lowercase().replace('_', "-");
    // In a short word, two slips make any other word of it.
    let most = MOST_SLIPS.min(written.chars().count() / 3);
    names
        .map(|name| (slips(&written, name), name))
        .filter(|(slips, _)| *slips <= most)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// How many slips lead from one word to the other (optimal string alignment).
fn slips(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    if one.len().abs_diff(other.len()) > MOST_SLIPS {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    rows[0] = (0..=other.len()).collect();
    for i in 1..=one.len() {
        rows[i][0] = i;
        for j in 1..=other.len() {
            let changed = usize::from(one[i - 1] != other[j - 1]);
            let mut least =
                (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + changed);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_forgiven() {
        let names = ["maxclients", "port", "tls-port", "dir"];
        for (written, meant) in [
            ("maxclient", Some("maxclients")),
            ("max-clients", Some("maxclients")),
            ("MAXCLIENTS", Some("maxclients")),
            ("maxcleints", Some("maxclients")),
            ("prot", Some("port")),
            ("tls_port", Some("tls-port")),
            ("di", None),
            ("x", None),
            ("", None),
            ("something-else", None),
        ] {
            assert_eq!(closest(written, names.into_iter()), meant, "{written}");
        }
    }
}
