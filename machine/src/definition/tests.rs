use super::*;
use proptest::prelude::*;

const UUID: &str = "6f0a2b8e-3c55-4f0e-9a58-1d2f64f0a0c1";
const IMAGE: &str = "0e8d3b5e-2a7b-4a52-a1f9-6b7c8d9e0f10";

/// A machine with everything in it.
fn full() -> Definition {
    let image = |number, file: &str, format, read_only| Image {
        uuid: Uuid::from_u128(number),
        file: FilePath::new(file).unwrap(),
        format,
        read_only,
    };
    Definition {
        created: Some(Timestamp::from_unix(1_795_366_544)),
        notes: "Line \"one\"\nline two # no comment".into(),
        os: Some("http://linuxmint.com/mint/22".into()),
        cpus: 3,
        memory: Size::mib(1536),
        boot: vec!["cd0".into(), "disk1".into()],
        kernel: Some(Kernel {
            file: FilePath::new("/boot/vmlinuz").unwrap(),
            initrd: Some(FilePath::new("/boot/initrd").unwrap()),
            cmdline: "console=ttyS0 'x' \"y\"".into(),
        }),
        serial: Some(Serial { file: FilePath::new("serial.txt").unwrap() }),
        disks: vec![
            Disk {
                id: "disk0".into(),
                bus: Bus::Ahci,
                serial: Some("ABC 123".into()),
                throw_away_writes: true,
                images: vec![
                    image(1, "/base.img", ImageFormat::Raw, true),
                    image(2, "disks/a.qcow2", ImageFormat::Qcow2, false),
                ],
            },
            Disk {
                id: "disk1".into(),
                bus: Bus::Ahci,
                serial: None,
                throw_away_writes: false,
                images: vec![image(3, "disks/b.raw", ImageFormat::Raw, false)],
            },
        ],
        cdroms: vec![
            CdDrive { id: "cd0".into(), file: Some(FilePath::new("/iso/ö.iso").unwrap()) },
            CdDrive { id: "cd1".into(), file: None },
        ],
        ..Definition::new(Name::new("Mint/Ü \"x\"").unwrap(), Uuid::from_u128(77))
    }
}

/// A file with `lines` after the three that must be there.
fn file(lines: &str) -> String {
    format!("version = 1\nuuid = \"{UUID}\"\nname = \"Mint\"\n{lines}")
}

/// What is said about [`file`]`(lines)`.
fn problems(lines: &str) -> Vec<String> {
    problems_of(&file(lines))
}

fn problems_of(text: &str) -> Vec<String> {
    Definition::parse(text).unwrap_err().problems().iter().map(Problem::to_string).collect()
}

#[test]
fn a_definition_with_everything_is_read_back_as_written() {
    assert_eq!(full().validate(), []);
    assert_eq!(Definition::parse(&full().to_toml()), Ok(full()), "{}", full().to_toml());
}

#[test]
fn the_example_in_the_documentation_is_read() {
    let example: String = include_str!("../definition.rs")
        .lines()
        .skip_while(|line| *line != "//! ```toml")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| line.trim_start_matches("//!").trim_start().to_owned() + "\n")
        .collect();
    let definition = Definition::parse(&example).unwrap();
    assert_eq!((definition.disks.len(), definition.cdroms.len()), (1, 1));
}

#[test]
fn what_is_left_out_has_its_default() {
    let definition = Definition::parse(&file("")).unwrap();
    assert_eq!(definition, Definition::new(Name::new("Mint").unwrap(), UUID.parse().unwrap()));
    assert_eq!((definition.cpus, definition.memory), (2, Size::gib(2)));
}

#[test]
fn names_in_the_file_are_those_that_serde_writes() {
    for name in Engine::NAMES {
        assert_eq!(serde_json::to_value(Engine::from_name(name).unwrap()).unwrap(), *name);
    }
    for name in Firmware::NAMES {
        assert_eq!(serde_json::to_value(Firmware::from_name(name).unwrap()).unwrap(), *name);
    }
    for name in Bus::NAMES {
        assert_eq!(serde_json::to_value(Bus::from_name(name).unwrap()).unwrap(), *name);
    }
    for name in ImageFormat::NAMES {
        assert_eq!(serde_json::to_value(ImageFormat::from_name(name).unwrap()).unwrap(), *name);
    }
}

#[test]
fn a_value_that_cannot_be_is_named_with_its_line() {
    for (line, expected) in [
        ("memory = '2X'", "memory = '2X' is not a size. Write a number and a unit, for example 512M, 2G or 1.5 GiB"),
        ("memory = '2GB'", "memory = '2GB' can be read in two ways. Write G or GiB for powers of 1024"),
        ("memory = 2048", "memory = 2 KiB is out of range: a machine has 8 MiB to 1 TiB"),
        ("memory = '8193K'", "memory = 8193 KiB is not a multiple of 1 MiB"),
        ("memory = true", "memory = true is not a size, such as \"2 GiB\""),
        ("cpus = 0", "cpus = 0 is out of range: a machine has 1 to 64"),
        ("cpus = 65", "cpus = 65 is out of range: a machine has 1 to 64"),
        ("cpus = -1", "cpus = -1 is below zero"),
        ("cpus = '2'", "cpus = '2' is not a whole number. Write it without quotes"),
        ("cpus = 2.5", "cpus = 2.5 is not a whole number. Write it without quotes"),
        ("engine = 'para'", "engine = 'para' can't be started by this version: it has only the engine 'full'"),
        ("engine = 'xen'", "engine = 'xen' is not known. It can be: full"),
        ("firmware = 'efi'", "firmware = 'efi' is not known. It can be: bios"),
        ("notes = 5", "notes = 5 is not a text. Write it in quotes"),
        ("created = 'now'", "created = 'now' is not a date and time in UTC. Write it as 2026-11-22T16:55:44Z"),
        ("boot = ['hd']", "boot names 'hd', which is the id of no drive: there are none"),
        ("boot = 'hd'", "boot = 'hd' is not a list"),
        ("kernel = 'vmlinuz'", "kernel = 'vmlinuz' is not a table"),
        ("kernel = {}", "kernel: the key 'file' is missing"),
        (
            "serial.file = '../x'",
            "serial.file = '../x' can't be: '../x' leads out of the machine's folder. Write an absolute path for a file \
             that is elsewhere",
        ),
        ("disks = [{ id = 'a', images = [] }]", "disks[0] has no images: a disk has at least one"),
        ("memroy = '2G'", "unknown key 'memroy'. Did you mean 'memory'?"),
        ("[serial]\npath = 'x'\nfile = 'x'", "serial: unknown key 'path'. What can stand here: file"),
    ] {
        let found = problems(line);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(
            found[0] == format!("line 4: {expected}") || found[0] == format!("line 5: {expected}"),
            "{line}: {}",
            found[0]
        );
    }
}

#[test]
fn a_native_date_is_read_as_well() {
    let definition = Definition::parse(&file("created = 2026-11-22T16:55:44Z")).unwrap();
    assert_eq!(definition.created.unwrap().to_string(), "2026-11-22T16:55:44Z");
}

#[test]
fn all_problems_are_found_at_once_and_in_order() {
    let text = format!(
        "version = 1\nname = ''\ncpus = 99\nmemory = '1K'\nboot = ['disk0']\n\n[[disks]]\nid = 'Disk 0'\nbus = 'ide'\n\
         [[disks.images]]\nuuid = '{IMAGE}'\nfile = 'a'\nformat = 'vdi'\n\n[[cdroms]]\nfile = ''\ncolour = 'red'\n"
    );
    let found = problems_of(&text);
    let lines: Vec<_> = found.iter().map(|problem| problem.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(
        lines,
        ["line 1", "line 2", "line 3", "line 4", "line 9", "line 13", "line 15", "line 16", "line 17"],
        "{found:#?}"
    );
    assert_eq!(
        Definition::parse(&text).unwrap_err().to_string(),
        "machine.toml, line 1: the key 'uuid' is missing (and 8 more problems)"
    );
}

#[test]
fn a_file_of_another_version_is_not_read_any_further() {
    assert_eq!(
        problems_of("version = 2\nflux = 1"),
        ["line 1: version = 2 was written by a newer program; this one reads up to 1"]
    );
    assert_eq!(problems_of("version = 0"), ["line 1: version = 0 is not a version. Write: version = 1"]);
    assert_eq!(problems_of("\nversion = '1'"), ["line 2: version = '1' is not a version. Write: version = 1"]);
    assert_eq!(problems_of(""), ["line 1: the key 'version' is missing. Write: version = 1"]);
}

#[test]
fn what_is_not_toml_is_said_with_its_line() {
    let found = problems("memory = 2G\n");
    assert!(found[0].starts_with("line 4: this is not TOML: "), "{found:?}");
    let found = problems("cpus = 1\ncpus = 2\n");
    assert!(found[0].starts_with("line 5: this is not TOML: "), "{found:?}");
}

#[test]
fn duplicates_are_refused() {
    let mut definition = full();
    definition.disks[1].id = "disk0".into();
    definition.disks[1].serial = Some("ABC 123".into());
    definition.disks[1].images[0].uuid = Uuid::from_u128(2);
    definition.disks[1].images[0].file = FilePath::new("disks/./a.qcow2").unwrap();
    definition.cdroms[1].id = "cd0".into();
    definition.uuid = Uuid::from_u128(1);
    definition.boot = vec!["cd0".into(), "cd0".into()];
    let keys: Vec<_> = definition.validate().into_iter().map(|problem| problem.key).collect();
    assert_eq!(
        keys,
        [
            "disks[1].id",
            "cdroms[1].id",
            "disks[1].serial",
            "disks[1].images[0].uuid",
            "disks[1].images[0].file",
            "uuid",
            "boot[1]"
        ]
    );
}

#[test]
fn what_is_too_long_or_too_many_is_refused() {
    let mut definition = full();
    definition.notes = "x".repeat(limits::NOTES_BYTES + 1);
    definition.kernel.as_mut().unwrap().cmdline = "\0".repeat(limits::CMDLINE_BYTES + 1);
    definition.cdroms = (0..5).map(|n| CdDrive { id: format!("cd{n}"), file: None }).collect();
    definition.disks[0].serial = Some("x".repeat(21));
    definition.disks[1].id = "x".repeat(33);
    definition.boot.clear();
    let keys: Vec<_> = definition.validate().into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["notes", "kernel.cmdline", "kernel.cmdline", "cdroms", "disks[1].id", "disks[0].serial"]);
}

#[test]
fn without_a_boot_order_disks_come_before_discs() {
    let mut definition = full();
    assert_eq!(definition.boot_order(), ["cd0", "disk1"]);
    definition.boot.clear();
    assert_eq!(definition.boot_order(), ["disk0", "disk1", "cd0", "cd1"]);
    assert_eq!((definition.free_id("disk"), definition.free_id("cd")), ("disk2".into(), "cd2".into()));
}

#[test]
fn a_disk_has_a_serial_number_of_its_own_and_throw_away_writes_make_it_writable() {
    let definition = full();
    let [first, second] = &definition.disks[..] else { panic!() };
    assert_eq!(first.serial_number(definition.uuid), "ABC 123");
    let made = second.serial_number(definition.uuid);
    assert_eq!(made, second.serial_number(definition.uuid));
    assert_ne!(made, second.serial_number(Uuid::from_u128(78)));
    assert_eq!((made.len(), made.is_ascii()), (18, true));
    let mut disk = first.clone();
    disk.images[1].read_only = true;
    assert!(!disk.is_read_only());
    disk.throw_away_writes = false;
    assert!(disk.is_read_only());
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text: String) {
        let _ = Definition::parse(&text);
    }

    #[test]
    fn no_change_to_a_file_makes_reading_panic_and_what_is_read_is_sensible(
        at in 0_usize..2000,
        len in 0_usize..40,
        new in "[ -~\n]{0,12}",
    ) {
        let text = full().to_toml();
        let at = at % text.len();
        let (Some(head), Some(tail)) = (text.get(..at), text.get((at + len).min(text.len())..)) else { return Ok(()) };
        if let Ok(definition) = Definition::parse(&format!("{head}{new}{tail}")) {
            prop_assert_eq!(definition.validate(), []);
            prop_assert_eq!(Definition::parse(&definition.to_toml()), Ok(definition));
        }
    }
}

#[test]
fn the_serial_ports_file_is_none_that_the_machine_reads() {
    for file in ["other.txt", "/boot/vmlinuz", "/boot/initrd"] {
        let mut definition = full();
        definition.serial = Some(Serial { file: FilePath::new(file).unwrap() });
        let found = definition.validate().iter().any(|problem| problem.key == "serial.file");
        assert_eq!(found, file.starts_with("/boot"), "{file}");
    }
    let mut definition = full();
    let image = definition.disks[0].images[0].file.clone();
    definition.serial = Some(Serial { file: image });
    assert!(definition.validate().iter().any(|problem| problem.key == "serial.file"));
}
