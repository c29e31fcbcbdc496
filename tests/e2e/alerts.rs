//! The settings of alert channels: checked before anything is sent, and never shown.

use tests::Product;

fn checked(settings: &str) -> (Option<i32>, String) {
    let product = Product::new().with_environment(vec![(
        "HOOK".to_string(),
        "https://hooks.slack.com/services/hunter2".to_string(),
    )]);
    product.write("sprint-reports.toml", settings);
    let ended = product.run(&["check"]);
    let text = format!("{}{}", ended.out, ended.err);
    assert!(!text.contains("hunter2"), "{text}");
    (ended.code, text)
}

#[test]
fn check_says_who_is_told_and_what_is_wrong_with_a_channel() {
    let (code, text) = checked(
        "[[alerts]]\nname = \"dev\"\nkind = \"slack\"\nurl = \"env:HOOK\"\n\
         [[alerts]]\nname = \"ops\"\nkind = \"email\"\nfrom = \"r@example.org\"\nto = [\"o@example.org\"]\n\
         smtp = \"smtps://bot:hunter2@mail.example.org\"\n",
    );
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("slack https://hooks.slack.com"), "{text}");
    assert!(
        text.contains("to o@example.org by mail.example.org:465"),
        "{text}"
    );

    let (code, text) = checked(
        "[[alerts]]\nname = \"dev\"\nkind = \"slack\"\nurl = \"http://10.0.0.1/hunter2\"\n",
    );
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("alerts 'dev': url 'http://10.0.0.1' is plain http"),
        "{text}"
    );

    let (code, text) = checked("[[alerts]]\nname = \"dev\"\nkin = \"slack\"\n");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("did you mean 'kind'?"), "{text}");
}
