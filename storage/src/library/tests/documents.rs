//! Writing a changed definition into a file that a person wrote.

use machine::{
    definition::{CdDrive, Kernel, Serial},
    size::Size,
};
use proptest::prelude::*;

use super::{super::document, *};

/// A file as a person writes it, in another order and style than the program's.
const BY_HAND: &str = r#"# My first machine.
name = 'Mint'   # freshly installed
version = 1
uuid = "6f0a2b8e-3c55-4f0e-9a58-1d2f64f0a0c1"

# Half of what the host has.
memory = "2G"
kernel = { file = "/boot/vmlinuz", cmdline = "quiet" } # for tests

[serial] # debugging
file = "serial.txt"

# The system.
[[disks]]
id = "disk0"
images = [
    # the base
    { uuid = "0e8d3b5e-2a7b-4a52-a1f9-6b7c8d9e0f10", file = "/base.qcow2", format = "qcow2" },
]

[[cdroms]]
id = "cd0" # never empty
file = "/mint.iso"

# The data.
[[disks]]
id = "disk1"
[[disks.images]]
uuid = "0e8d3b5e-2a7b-4a52-a1f9-6b7c8d9e0f11"
file = "disks/data.raw"
format = "raw"
# The end.
"#;

/// What `change` makes of `text`, as a list of lines that went and came.
fn changed(text: &str, change: impl FnOnce(&mut Definition)) -> Vec<String> {
    let old = Definition::parse(text).unwrap();
    let mut new = old.clone();
    change(&mut new);
    let result = document::merge(text, &old, &new).unwrap();
    assert_eq!(Definition::parse(&result).as_ref(), Ok(&new), "{result}");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(text), lines(&result));
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("-{line}"));
    let came = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+{line}"));
    gone.chain(came).collect()
}

#[test]
fn nothing_changed_changes_nothing() {
    let old = Definition::parse(BY_HAND).unwrap();
    assert_eq!(document::rewrite(BY_HAND, &old, &old), BY_HAND);
}

#[test]
fn only_the_changed_setting_changes() {
    let no_lines: [&str; 0] = [];
    assert_eq!(changed(BY_HAND, |_| ()), no_lines);
    assert_eq!(
        changed(BY_HAND, |definition| definition.memory = Size::gib(4)),
        [r#"-memory = "2G""#, r#"+memory = "4 GiB""#]
    );
    assert_eq!(
        changed(BY_HAND, |definition| definition.name = name("Min't")),
        ["-name = 'Mint'   # freshly installed", r#"+name = "Min't"   # freshly installed"#]
    );
    assert_eq!(changed(BY_HAND, |definition| definition.cpus = 4), ["+cpus = 4"]);
    assert_eq!(changed(BY_HAND, |definition| definition.cdroms[0].file = None), [r#"-file = "/mint.iso""#]);
    assert_eq!(
        changed(BY_HAND, |definition| definition.kernel.as_mut().unwrap().cmdline = "debug".into()),
        [
            r#"-kernel = { file = "/boot/vmlinuz", cmdline = "quiet" } # for tests"#,
            r#"+kernel = { file = "/boot/vmlinuz", cmdline = "debug" } # for tests"#
        ]
    );
    assert_eq!(
        changed(BY_HAND, |definition| definition.serial = None),
        ["-[serial] # debugging", r#"-file = "serial.txt""#]
    );
}

#[test]
fn disks_come_and_go_and_keep_what_is_written_about_the_others() {
    let image = |number, file: &str| Image {
        uuid: Uuid::from_u128(number),
        file: FilePath::new(file).unwrap(),
        format: ImageFormat::Qcow2,
        read_only: true,
    };
    let gone = changed(BY_HAND, |definition| definition.disks.truncate(1));
    assert!(gone.iter().all(|line| line.starts_with('-')), "{gone:#?}");
    assert!(!gone.iter().any(|line| line.contains("The system") || line.contains("never empty")), "{gone:#?}");
    let came = changed(BY_HAND, |definition| {
        definition.disks[1].images.push(image(1, "disks/overlay.qcow2"));
        let disk = Disk {
            id: "disk2".into(),
            bus: defaults::BUS,
            serial: Some("X".into()),
            throw_away_writes: true,
            images: vec![image(2, "a"), image(3, "b")],
        };
        definition.disks.insert(1, disk);
        definition.disks[0].images.push(image(4, "disks/over.qcow2"));
        definition.cdroms.push(CdDrive { id: "cd1".into(), file: None });
        definition.boot = vec!["cd1".into()];
    });
    let kept = ["# The system.", "# The data.", "# My first machine.", "# never empty"];
    assert!(!came.iter().any(|line| line.starts_with('-') && kept.iter().any(|kept| line.contains(kept))), "{came:#?}");
}

#[test]
fn a_new_order_of_the_disks_is_written_although_the_file_has_another() {
    let swapped = changed(BY_HAND, |definition| definition.disks.swap(0, 1));
    assert_eq!(swapped, Vec::<String>::new(), "only the order differs");
}

#[test]
fn a_file_that_says_something_else_is_written_anew() {
    let old = Definition::new(name("Other"), Uuid::from_u128(5));
    let new = Definition { cpus: 4, ..old.clone() };
    assert_eq!(Definition::parse(&document::rewrite(BY_HAND, &old, &new)), Ok(new.clone()));
    assert_eq!(document::rewrite("nonsense", &old, &new), new.to_toml());
}

fn definitions() -> impl Strategy<Value = Definition> {
    let image = (0_u128..40, "[a-z]{1,3}", any::<bool>()).prop_map(|(uuid, file, read_only)| Image {
        uuid: Uuid::from_u128(uuid + 1),
        file: FilePath::new(format!("disks/{uuid}{file}")).unwrap(),
        format: if read_only { ImageFormat::Raw } else { ImageFormat::Qcow2 },
        read_only,
    });
    let images = prop::collection::vec(image, 1..4);
    let disk = (0_u32..6, images, any::<bool>(), prop::option::of("[A-Z]{3}[0-9]{9}"));
    let disks = prop::collection::vec(disk, 0..4);
    let cdroms = prop::collection::vec((6_u32..12, prop::option::of("/[a-z]{3}")), 0..3);
    let kernel = prop::option::of(("/[a-z]{3}", prop::option::of("/[a-z]{3}"), "[ -~]{0,9}"));
    let rest = (1_u32..65, 8_u64..9000, "\\PC{0,20}", prop::option::of("[a-z]{3}"), any::<bool>(), "\\PC{0,9}\n?");
    (disks, cdroms, kernel, rest).prop_map(|(disks, cdroms, kernel, (cpus, memory, title, serial, boot, notes))| {
        let path = |text: String| FilePath::new(text).unwrap();
        let mut definition = Definition {
            cpus,
            memory: Size::mib(memory),
            notes,
            serial: serial.map(|file| Serial { file: path(file) }),
            kernel: kernel.map(|(file, initrd, cmdline)| Kernel {
                file: path(file),
                initrd: initrd.map(path),
                cmdline,
            }),
            ..Definition::new(Name::new(title).unwrap_or_else(|_| name("x")), Uuid::from_u128(1000))
        };
        let mut used = std::collections::HashSet::new();
        for (id, images, throw_away_writes, serial) in disks {
            let images: Vec<_> = images.into_iter().filter(|image| used.insert(image.uuid)).collect();
            let id = format!("disk{id}");
            if !images.is_empty() && definition.drive_ids().all(|taken| taken != id) {
                definition.disks.push(Disk { id, bus: defaults::BUS, serial, throw_away_writes, images });
            }
        }
        for (id, file) in cdroms {
            let id = format!("cd{id}");
            if definition.drive_ids().all(|taken| taken != id) {
                definition.cdroms.push(CdDrive { id, file: file.map(path) });
            }
        }
        definition.boot = definition.drive_ids().filter(|_| boot).map(str::to_owned).collect();
        definition
    })
}

/// Puts a comment before and after every line that has a key.
fn with_comments(text: &str) -> String {
    let mut result = String::new();
    for line in text.lines() {
        let is_whole = line.starts_with('[')
            || (line.contains(" = ") && !line.contains("'''") && !line.contains("\"\"\"") && !line.ends_with('['));
        if is_whole {
            result += &format!("# about {line}\n{line} # after\n");
        } else {
            result += &format!("{line}\n");
        }
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_definition_can_be_changed_into_any_other(old in definitions(), new in definitions(), comments: bool) {
        prop_assume!(old.validate().is_empty() && new.validate().is_empty());
        let text = if comments { with_comments(&old.to_toml()) } else { old.to_toml() };
        // A comment put into the middle of a text would be part of it.
        prop_assume!(Definition::parse(&text).as_ref() == Ok(&old));
        let result = document::merge(&text, &old, &new).unwrap();
        prop_assert_eq!(Definition::parse(&result), Ok(new), "{}", result);
    }
}
