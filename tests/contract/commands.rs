//! `commands.md`: commands with their options, and how each ends.

use simulator::Simulator;
use tests::{Product, filled, small_site_in};

use crate::page::{Page, same};

/// What the help of a command lists: subcommands and options.
fn helped(product: &Product, command: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut arguments = command.to_vec();
    arguments.push("--help");
    let help = product.run(&arguments).ok().out;
    let mut commands = Vec::new();
    let mut options = Vec::new();
    let mut in_commands = false;
    for line in help.lines() {
        if !line.starts_with(' ') && !line.is_empty() {
            in_commands = line == "Commands:";
        }
        let word = line.split_whitespace().next().unwrap_or_default();
        if in_commands && line.starts_with("  ") && !line.starts_with("   ") && word != "help" {
            commands.push(word.to_string());
        }
        // `-h, --help`, but not the values of an option: `- json: …`.
        if word.len() > 1 && word.starts_with('-') {
            let option = line.split_whitespace().find(|word| word.starts_with("--"));
            options.extend(option.map(str::to_string));
        }
    }
    (commands, options)
}

#[test]
fn commands_and_options() {
    let product = Product::new();
    let page: Vec<String> = Page::read("commands.md")
        .table("Commands")
        .iter()
        .flat_map(|row| {
            let options = row[1].split_whitespace().map(|option| {
                assert!(option.starts_with("--"), "{option}");
                format!("{} {option}", row[0])
            });
            options.collect::<Vec<_>>()
        })
        .collect();
    let everywhere = ["--config", "--json", "--help", "--version"];
    let mut found = Vec::new();
    let mut paths = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        let path: Vec<String> = path;
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let (commands, options) = helped(&product, &words);
        for wanted in ["--config", "--json"] {
            assert!(
                options.iter().any(|o| o == wanted),
                "{path:?} takes no {wanted}"
            );
        }
        for command in &commands {
            let mut path = path.clone();
            path.push(command.clone());
            paths.push(path);
        }
        if !commands.is_empty() {
            continue;
        }
        let name = path.join(" ");
        let own: Vec<_> = options
            .iter()
            .filter(|option| !everywhere.contains(&option.as_str()))
            .collect();
        // A command without options of its own is on the page with what every command takes.
        if own.is_empty() {
            found.push(format!("{name} --json"));
        }
        found.extend(own.iter().map(|option| format!("{name} {option}")));
    }
    same(&page, &found, "commands.md");
}

/// Words of a command line; double quotes hold words together.
fn words(line: &str) -> Vec<String> {
    line.split('"')
        .enumerate()
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_string).collect(),
            _ => vec![part.to_string()],
        })
        .collect()
}

/// A product in a situation of the page; what it needs is kept beside it.
async fn situation(name: &str) -> (Product, Option<Simulator>) {
    match name {
        "an empty folder" => (Product::new(), None),
        "an unknown setting" => {
            let product = Product::new();
            product.write("sprint-reports.toml", "[store]\nurk = \"file:x\"\n");
            (product, None)
        }
        "a site that is down" => (
            Product::connected("http://127.0.0.1:9", "bot@example.org", "secret"),
            None,
        ),
        "a site" => {
            let site = small_site_in(2026).await;
            (Product::reading(&site), Some(site))
        }
        // Its newest records bear instants that no table can hold.
        "a site with unreadable records" => {
            let site = small_site_in(9999).await;
            (Product::reading(&site), Some(site))
        }
        other => panic!("commands.md: '{other}' is no known situation"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes() {
    let mut wrong = Vec::new();
    for row in Page::read("commands.md").table("Exit codes") {
        let arguments = words(&row[1]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = if row[0] == "a release" {
            filled().await.run(&arguments)
        } else {
            let (product, _site) = situation(&row[0]).await;
            product.run(&arguments)
        };
        let expected: i32 = row[2].parse().unwrap();
        if ended.code != Some(expected) {
            let code = ended.code;
            wrong.push(format!("{row:?}: {code:?}\n{}{}", ended.out, ended.err));
        }
        if expected != 0 && ended.err.trim().is_empty() {
            wrong.push(format!("{row:?} says nothing"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `serve` and `demo` end well when they are asked to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_to_stop_ends_well() {
    let server = tests::Server::start(filled().await);
    assert_eq!(server.get("/health/live").await.status, 200);
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}
