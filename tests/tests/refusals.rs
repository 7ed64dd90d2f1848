//! Bad input, and hosts that can't: an error of one line each that says what happened and what to do, nothing lost, and
//! nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use whole_machine::host::{Kvm, Mounted, Nobody, is_root, skip};
use whole_machine::media::Hostile;
use whole_machine::{Guest, Said, Tandem};

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is text")
}

/// After a refusal: the machine is off, nobody works for it, and nothing is left of the attempt.
fn assert_nothing_left(tandem: &Tandem, machines: usize) -> Result<()> {
    let folders = tandem.folders()?;
    ensure!(folders.len() == machines, "{folders:?}");
    let listed = tandem.json(&["list"])?;
    for row in listed.as_array().context("a list")? {
        ensure!(row["state"] == "off", "{row}");
    }
    let (sockets, processes) = (tandem.sockets()?, tandem.processes()?);
    ensure!(sockets.is_empty() && processes.is_empty(), "{sockets:?} {processes:?}");
    Ok(())
}

#[test]
fn what_is_no_disc_goes_into_no_drive() -> Result<()> {
    let tandem = Tandem::new()?;
    let sound = fs::read(Guest::GrubRescueIso.file()?)?;
    tandem.create("whole", &[])?;
    let cases: [(&str, &[u8], &str); 5] = [
        ("empty.iso", b"", "is empty"),
        ("page.iso", b"<!DOCTYPE html>\n<html><body>404</body></html>", "a web page"),
        ("cut.iso", &sound[..sound.len() / 2], "is cut off"),
        ("short.iso", &sound[..40_000], "is cut off"),
        ("noise.iso", &[0x5a; 100_000], "not a disc"),
    ];
    for (index, (file, content, word)) in cases.into_iter().enumerate() {
        let path = tandem.scratch(file);
        fs::write(&path, content)?;
        for refusal in [
            tandem.refused(&["create", "new", "--iso", text(&path)?])?,
            tandem.refused(&["insert", "whole", text(&path)?])?,
        ] {
            assert!(refusal.contains(word) && refusal.contains(file), "{refusal}");
        }
        // A disc that was sound when the machine was made.
        let name = format!("later{index}");
        fs::write(&path, &sound)?;
        tandem.create(&name, &["--iso", text(&path)?])?;
        fs::write(&path, content)?;
        let refusal = tandem.refused(&["start", &name])?;
        assert!(refusal.contains(word) && refusal.contains("cd0"), "{refusal}");
        assert_eq!(tandem.refused(&["run", &name])?, refusal);
        assert_nothing_left(&tandem, index + 2)?;
    }
    for (file, word) in [("nowhere.iso", "there is no file"), ("", "is a folder")] {
        let path = tandem.scratch(file);
        let refusal = tandem.refused(&["create", "new", "--iso", text(&path)?])?;
        assert!(refusal.contains(word) && !refusal.contains("os error"), "{refusal}");
    }
    assert!(tandem.refused(&["create", "new", "--iso", "/dev/null"])?.contains("neither a file nor a disk"));
    assert_nothing_left(&tandem, 6)
}

#[test]
fn a_file_that_the_account_may_not_read_is_named() -> Result<()> {
    let tandem = Tandem::new()?;
    let path = tandem.scratch("secret.iso");
    fs::write(&path, "x")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000))?;
    let refusal = if let Some(nobody) = Nobody::new()? {
        let program = tandem.command([""]).get_program().to_owned();
        if !nobody.may("-x", Path::new(&program))? {
            skip("other accounts may not use the program that is tested");
            return Ok(());
        }
        let path = nobody.scratch("secret.iso");
        fs::write(&path, "x")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000))?;
        Said::by(&mut nobody.command(program, &["create", "new", "--iso", text(&path)?]))?.refusal()?
    } else {
        tandem.refused(&["create", "new", "--iso", text(&path)?])?
    };
    assert!(refusal.contains("this account may not read") && !refusal.contains("os error"), "{refusal}");
    Ok(())
}

#[test]
fn a_hostile_disk_image_is_refused_when_it_is_given_and_when_it_is_started() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = tandem.create("sound", &["--disk", "64M"])?;
    let image = fs::read_dir(machine.folder()?.join("disks"))?.next().context("a disk was made")??.path();
    let sound = fs::read(&image)?;
    let path = tandem.scratch("hostile.qcow2");
    for (hostile, word) in Hostile::ALL {
        let content = hostile.image(&sound);
        fs::write(&path, &content)?;
        let refusal = tandem.refused(&["create", "new", "--disk", text(&path)?])?;
        assert!(refusal.contains(word) && refusal.contains("hostile.qcow2"), "{hostile:?}: {refusal}");

        fs::write(&image, &content)?;
        let refusal = tandem.refused(&["start", "sound"])?;
        assert!(refusal.contains(word) && refusal.contains("disk0"), "{hostile:?}: {refusal}");
        assert!(fs::read(&image)? == content, "{hostile:?}: the image was written to");
        assert_nothing_left(&tandem, 1)?;
    }
    fs::remove_file(&image)?;
    let refusal = tandem.refused(&["start", "sound"])?;
    assert!(refusal.contains("there is no file"), "{refusal}");
    fs::write(&image, &sound)?;
    machine.start()
}

#[test]
fn a_full_disk_loses_nothing() -> Result<()> {
    let tandem = Tandem::new()?;
    let Some(full) = Mounted::small(&tandem.scratch("full"), "1m")? else {
        skip("only root can mount a file system that is full");
        return Ok(());
    };
    let run = |args: &[&str]| Said::by(tandem.command(args).env("TANDEM_HOME", full.path()));
    assert!(run(&["create", "old", "--disk", "1G"])?.status.success());
    let before = run(&["show", "old"])?.out;
    // Written to until no byte more fits.
    let filling = fs::write(full.path().join("filling"), vec![1; 2 << 20]);
    assert_eq!(filling.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    for args in [
        &["create", "new", "--disk", "1G"][..],
        &["create", "new"],
        &["edit", "old", "--notes", "x"],
        &["edit", "old", "--add-disk", "1G"],
        &["rename", "old", "other"],
        &["start", "old"],
    ] {
        let refusal = run(args)?.refusal().with_context(|| args.join(" "))?;
        assert!(refusal.contains("the disk is full") && refusal.contains("Free some space"), "{args:?}: {refusal}");
        assert_eq!(refusal.matches("full").count() - refusal.matches("/full").count(), 1, "said twice: {refusal}");
    }
    assert_eq!(run(&["show", "old"])?.out, before);
    let machines = fs::read_dir(full.path().join("machines"))?.count();
    let disks = fs::read_dir(full.path().join("machines/old/disks"))?.count();
    let logs = fs::read_dir(full.path().join("machines/old/log"))?.count();
    assert_eq!((machines, disks, logs, tandem.sockets()?.len()), (1, 1, 0, 0));
    // What frees space works.
    assert!(run(&["delete", "old"])?.status.success());
    assert!(run(&["empty-trash"])?.status.success());
    Ok(())
}

#[test]
fn a_definition_that_is_nonsense_breaks_that_machine_only_and_can_be_repaired() -> Result<()> {
    let tandem = Tandem::new()?;
    tandem.create("sound", &[])?;
    let machine = tandem.create("bad", &[])?;
    let file = machine.folder()?.join("machine.toml");
    let sound = fs::read_to_string(&file)?;
    let cases: [(Vec<u8>, &str); 8] = [
        (sound.replace("cpus = 2", "cpus = \"many\"").into(), "cpus = 'many'"),
        (sound.replace("cpus = 2", "cpus = 4000000000").into(), "out of range"),
        (sound.replace("2 GiB", "18446744073709551615 TiB").into(), "too large"),
        (sound.replace("cpus =", "cqus =").into(), "Did you mean 'cpus'?"),
        (sound.replace("id = \"cd0\"", "id = \"../cd\"").into(), "../cd"),
        (b"= [[[ nonsense".to_vec(), "machine.toml"),
        (b"".to_vec(), "machine.toml"),
        (vec![0xff; 5000], "UTF-8"),
    ];
    for (content, word) in cases {
        fs::write(&file, &content)?;
        for verb in ["start", "run", "show", "logs"] {
            let refusal = tandem.refused(&[verb, "bad"])?;
            assert!(refusal.contains(word), "{verb}: {refusal}");
        }
        let list = tandem.json(&["list"])?;
        let row = |name: &str| list.as_array().and_then(|rows| rows.iter().find(|row| row["name"] == name));
        assert_eq!(row("sound").context("the sound machine")?["state"], "off");
        assert!(row("bad").context("the broken machine")?["error"].is_string(), "{list}");
        assert!(fs::read(&file)? == content, "the definition was changed");
    }
    fs::write(&file, sound.replace("cpus =", "cqus ="))?;
    let mut edit = tandem.command(["edit", "bad"]);
    assert!(Said::by(edit.env("VISUAL", "sed -i s/cqus/cpus/"))?.status.success());
    assert_eq!(machine.state()?, "off");
    // The folder alone can still go to the trash, and come back.
    fs::remove_file(&file)?;
    assert!(tandem.refused(&["start", "bad"])?.contains("no machine.toml"));
    tandem.ok(&["delete", "bad"])?;
    assert_eq!(tandem.json(&["list", "--trash"])?[0]["name"], "bad");
    Ok(())
}

#[test]
fn what_an_editor_leaves_is_used_only_if_it_makes_sense_and_is_never_lost() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = tandem.create("edited", &[])?;
    let drafts = tandem.scratch("drafts");
    fs::create_dir(&drafts)?;
    let edit = |editor: &str| {
        let mut command = tandem.command(["edit", "edited"]);
        Said::by(command.env_remove("VISUAL").env("EDITOR", editor).env("TMPDIR", &drafts))
    };
    assert!(edit("sed -i 's/cpus = 2/cpus = 3/'")?.status.success());
    assert!(machine.ok("show", &[])?.contains("cpus = 3"));
    assert_eq!(edit("true")?.out.trim(), "Nothing was changed");
    let refusal = edit("false")?.refusal()?;
    assert!(refusal.contains("Nothing was changed"), "{refusal}");
    assert_eq!(fs::read_dir(&drafts)?.count(), 0, "a draft without changes was left");
    let refusal = edit("sed -i 's/cpus = 3/cqus = 4/'")?.refusal()?;
    assert!(refusal.contains("Did you mean 'cpus'? Nothing was changed"), "{refusal}");
    let draft = fs::read_dir(&drafts)?.next().context("what was written is kept")??.path();
    assert!(refusal.contains(text(&draft)?) && fs::read_to_string(&draft)?.contains("cqus = 4"), "{refusal}");
    assert!(machine.ok("show", &[])?.contains("cpus = 3"));
    let mode = fs::metadata(&draft)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "other accounts may read the draft");
    fs::remove_file(&draft)?;
    // While it runs nothing can be changed: that is said before anybody writes anything.
    machine.start()?;
    let refusal = edit("touch opened")?.refusal()?;
    assert!(refusal.contains("is running"), "{refusal}");
    assert_eq!(fs::read_dir(&drafts)?.count(), 0, "an editor was opened");
    Ok(())
}

#[test]
fn a_size_that_is_also_a_file_is_asked_about_and_a_name_may_end_in_snapshot() -> Result<()> {
    let tandem = Tandem::new()?;
    let folder = tandem.scratch("folder");
    fs::create_dir(&folder)?;
    for file in ["1G", "odd,snapshot"] {
        fs::write(folder.join(file), vec![7; 1 << 20])?;
    }
    let create =
        |name: &str, disk: &str| Said::by(tandem.command(["create", name, "--disk", disk]).current_dir(&folder));
    let refusal = create("new", "1G")?.refusal()?;
    assert!(refusal.contains("./1G"), "{refusal}");
    assert!(create("file", "./1G")?.status.success());
    let refusal = create("new", "odd,snapshot")?.refusal()?;
    assert!(refusal.contains("write odd,,snapshot"), "{refusal}");
    assert!(create("odd", "odd,,snapshot")?.status.success());
    let disk = &tandem.json(&["show", "odd"])?["definition"]["disks"][0];
    assert!(disk["images"][0]["file"].as_str().is_some_and(|file| file.ends_with("/odd,snapshot")), "{disk}");
    assert!(disk["throw-away-writes"] != true, "{disk}");
    Ok(())
}

#[test]
fn a_machine_with_more_memory_than_the_computer_is_refused() -> Result<()> {
    let tandem = Tandem::new()?;
    tandem.create("huge", &["--memory", "1T"])?;
    let refusal = tandem.refused(&["start", "huge"])?;
    assert!(refusal.contains("this computer only"), "{refusal}");
    assert_nothing_left(&tandem, 1)
}

#[test]
fn output_of_the_guest_never_overwrites_the_machines_own_files() -> Result<()> {
    let tandem = Tandem::new()?;
    let image = tandem.scratch("disk.img");
    fs::write(&image, vec![7; 1 << 20])?;
    let path = text(&image)?;
    let refusal = tandem.refused(&["create", "greedy", "--disk", path, "--serial", path])?;
    assert!(refusal.contains("overwritten"), "{refusal}");
    // Nor those of others, by any name.
    let others = tandem.create("other", &["--disk", "64M"])?;
    let disk = fs::read_dir(others.folder()?.join("disks"))?.next().context("a disk was made")??.path();
    let link = tandem.scratch("link");
    fs::hard_link(&disk, &link)?;
    let before = fs::read(&disk)?;
    for file in [&disk, &link] {
        let refusal = tandem.refused(&["create", "greedy", "--serial", text(file)?])?;
        assert!(refusal.contains("used by 'other'") && refusal.contains("overwritten"), "{refusal}");
    }
    let folder = tandem.scratch("");
    assert!(tandem.refused(&["create", "greedy", "--serial", text(&folder)?])?.contains("is a folder"));
    // It became a link to one after the machine was made.
    let log = tandem.scratch("log");
    tandem.ok(&["create", "late", "--serial", text(&log)?])?;
    std::os::unix::fs::symlink(&disk, &log)?;
    let refusal = tandem.refused(&["start", "late"])?;
    assert!(refusal.contains("used by 'other'"), "{refusal}");
    assert!(fs::read(&disk)? == before, "the disk was changed");
    // A start that fails leaves what an earlier run said, and makes no file.
    fs::remove_file(&log)?;
    tandem.ok(&["edit", "other", "--serial", text(&log)?])?;
    fs::write(&disk, b"QFI\xfb and nothing else")?;
    tandem.refused(&["start", "other"])?;
    assert!(!log.exists(), "a file was left");
    fs::write(&log, "the run before")?;
    tandem.refused(&["start", "other"])?;
    assert_eq!(fs::read_to_string(&log)?, "the run before");
    // A pipe that nobody reads holds nobody up.
    let pipe = tandem.scratch("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    tandem.ok(&["create", "piped", "--serial", text(&pipe)?])?;
    let refusal = tandem.refused(&["start", "piped"])?;
    assert!(refusal.contains("serial port's file"), "{refusal}");
    assert_nothing_left(&tandem, 3)
}

#[test]
fn without_kvm_a_machine_says_what_to_do() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = tandem.create("off", &[])?;
    for (kvm, word) in [(Kvm::Missing, "modprobe"), (Kvm::NotKvm, "KVM refuses")] {
        for verb in ["start", "run"] {
            let Some(said) = kvm.run(&tandem, &[verb, "off"])? else {
                skip("this account can't hide /dev/kvm from a process (`unshare -m`)");
                return Ok(());
            };
            let refusal = said.refusal().with_context(|| format!("{verb} with {kvm:?}"))?;
            assert!(refusal.contains(word) && refusal.contains("Nothing was changed"), "{refusal}");
            assert_nothing_left(&tandem, 1)?;
        }
        let doctor = kvm.run(&tandem, &["doctor", "--json"])?.context("as before")?;
        let report: serde_json::Value = serde_json::from_str(&doctor.out)?;
        assert_eq!((doctor.status.code(), &report["real_guests"]), (Some(1), &false.into()), "{report}");
    }
    machine.start()
}

#[test]
fn without_the_right_to_kvm_a_machine_says_how_to_get_it() -> Result<()> {
    let tandem = Tandem::new()?;
    tandem.create("off", &[])?;
    let said = if let Some(nobody) = Nobody::new()? {
        let program = tandem.command([""]).get_program().to_owned();
        if !nobody.may("-x", Path::new(&program))? || nobody.may("-w", Path::new("/dev/kvm"))? {
            skip("other accounts may not use the program that is tested, or all may use /dev/kvm");
            return Ok(());
        }
        fs::create_dir(nobody.scratch("run"))?;
        std::os::unix::fs::chown(nobody.scratch("run"), Some(65534), Some(65534))?;
        assert!(Said::by(&mut nobody.command(&program, &["create", "off"]))?.status.success());
        let said = Said::by(&mut nobody.command(&program, &["start", "off"]))?;
        assert!(!nobody.scratch("home/machines/off/control.sock").exists());
        Some(said)
    } else {
        Kvm::Forbidden.run(&tandem, &["start", "off"])?
    };
    let Some(said) = said else {
        skip("no account without the right to /dev/kvm can be had here");
        return Ok(());
    };
    let refusal = said.refusal()?;
    assert!(refusal.contains("This account may not use /dev/kvm. Nothing was changed. Run `sudo usermod"), "{refusal}");
    assert_nothing_left(&tandem, 1)
}

#[test]
fn a_library_that_cant_be_written_can_be_read() -> Result<()> {
    let tandem = Tandem::new()?;
    tandem.create("kept", &[])?;
    let locked = tandem.scratch("locked");
    let mounted = Mounted::read_only(&tandem.home(), &locked)?;
    let home = match &mounted {
        Some(mounted) => mounted.path().to_owned(),
        None if is_root() => {
            skip("this root may not mount a folder read-only");
            return Ok(());
        }
        None => tandem.home(),
    };
    let machines = home.join("machines");
    let modes = |mode| -> Result<()> {
        for folder in [&machines.join("kept/log"), &machines.join("kept"), &machines, &home] {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    };
    if mounted.is_none() {
        modes(0o500)?;
    }
    let run = |args: &[&str]| Said::by(tandem.command(args).env("TANDEM_HOME", &home));
    assert!(run(&["list"])?.out.contains("kept"));
    assert!(run(&["show", "kept"])?.status.success());
    for args in [&["create", "new"][..], &["delete", "kept"], &["edit", "kept", "--cpus", "1"], &["start", "kept"]] {
        let refusal = run(args)?.refusal().with_context(|| args.join(" "))?;
        assert!(refusal.contains("read-only") || refusal.contains("this account may not"), "{refusal}");
        assert!(refusal.contains("Nothing was changed") && !refusal.contains("os error"), "{refusal}");
    }
    if mounted.is_none() {
        modes(0o700)?;
    }
    drop(mounted);
    assert_nothing_left(&tandem, 1)
}

#[test]
fn a_mistyped_command_line_is_one_line_with_a_suggestion() -> Result<()> {
    let tandem = Tandem::new()?;
    tandem.create("Mint", &["--disk", "1G"])?;
    for (args, word) in [
        (&["screnshot", "Mint"][..], "'screenshot'"),
        (&["start", "Mnit"], "Did you mean 'Mint'?"),
        (&["edit", "Mint", "--memroy", "1G"], "--memory"),
        (&["create"], "NAME"),
        (&["create", "x", "--cpus", "65"], "1..=64"),
        (&["create", "x", "--memory", "lots"], "512M"),
        (&["create", "x", "--memory", "2GB"], "2G"),
        (&["create", "x", "--disk", "99999999T"], "too large"),
        (&["create", "x", "--disk", "nowhere.img"], "neither a size"),
        (&["create", "x", "--initrd", "i"], "--kernel"),
        (&["eject", "Mint", "--drive", "cd9"], "cd0"),
        (&["edit", "Mint", "--remove-disk", "disk9"], "no disk 'disk9'"),
        (&["edit", "Mint", "--boot", "hda"], "disk0"),
        (&["undelete", "Mint"], "trash"),
        (&["create", "x", "--disk", "0"], "can't be made"),
        (&["create", "x", "--memory", "1"], "1 byte"),
        (&["create", "x", "--memory", "-1"], "never below zero"),
        (&["create", "x", "--iso", ""], "can't be empty"),
        (&["create", "-dash"], "after `--`"),
        (&["create", "\u{200b}"], "empty"),
        (&["stop", "Mint"], "is off"),
        (&["logs", "Mint"], "has never run"),
        (&["create", "Mint"], "already"),
        (&["create", ""], "empty"),
        (&["create", "a\nb"], "control characters"),
        (&["create", &"a".repeat(201)], "200"),
    ] {
        let refusal = tandem.refused(args)?;
        assert!(refusal.contains(word), "{args:?}: {refusal}");
    }
    assert_nothing_left(&tandem, 1)
}
