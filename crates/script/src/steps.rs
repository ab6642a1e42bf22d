//! A script of single lines, each with what it gets below it.

/// Goes through a script. Lines that begin with one of `marks` are done by `follow`, which is given the line and what the
/// script says that it gets, and returns what it gets now; remarks (`#`) and empty lines stay. The script with that.
pub fn steps(
    script: &str,
    marks: &[char],
    mut follow: impl FnMut(&str, &[&str]) -> Vec<String>,
) -> String {
    let is_reply =
        |line: &str| !line.is_empty() && !line.starts_with('#') && !line.starts_with(marks);
    let mut out = String::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        out += &format!("{line}\n");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut expected = Vec::new();
        while let Some(reply) = lines.next_if(|line| is_reply(line)) {
            expected.push(reply);
        }
        for line in follow(line, &expected) {
            out += &format!("{line}\n");
        }
    }
    out
}

#[test]
fn what_lines_get_comes_below_them() {
    let mut asked = Vec::new();
    let script = "# a remark\n> one\nold\nolder\n\n! two\n";
    let now = steps(script, &['>', '!'], |line, expected| {
        asked.push(format!("{line}: {expected:?}"));
        vec!["new".to_owned()]
    });
    assert_eq!(now, "# a remark\n> one\nnew\n\n! two\nnew\n");
    assert_eq!(asked, ["> one: [\"old\", \"older\"]", "! two: []"]);
}
