//! A machine's life, as its commands show it: names, states, what a run leaves, and what is left when a process is ended at
//! any moment.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, kill_process};
use whole_machine::host::skip;
use whole_machine::media::BootSector;
use whole_machine::{Console, Guest, Machine, Patience, Said, Tandem, wait_until};

/// Small, so that machines come and go quickly.
const SMALL: [&str; 4] = ["--memory", "64M", "--cpus", "1"];

fn small<'a>(tandem: &'a Tandem, name: &str, args: &[&str]) -> Result<Machine<'a>> {
    tandem.create(name, &[&SMALL, args].concat())
}

/// A machine with a disk that boots `sector`.
fn booting<'a>(tandem: &'a Tandem, name: &str, sector: BootSector) -> Result<Machine<'a>> {
    let disk = tandem.scratch(&format!("{name}.img"));
    sector.write(&disk)?;
    small(tandem, name, &["--disk", disk.to_str().context("the path is text")?])
}

/// Waits for a child's end.
fn end_of(child: &mut Child) -> Result<ExitStatus> {
    wait_until("the end of `tandem run`", Patience::FIRMWARE, || Ok(child.try_wait()?))
}

/// Waits until no process works for the library.
fn wait_for_quiet(tandem: &Tandem) -> Result<()> {
    wait_until("the last process to end", Patience::REACTION, || Ok(tandem.processes()?.is_empty().then_some(())))
}

/// Waits until a machine's process is gone: while the host takes it down, it is stopping.
fn wait_for_rest(tandem: &Tandem, machine: &Machine<'_>) -> Result<String> {
    wait_for_quiet(tandem)?;
    wait_until("the machine to be at rest", Patience::REACTION, || {
        let state = machine.state()?;
        Ok((state == "off" || state == "crashed").then_some(state))
    })
}

/// Whatever happened: nobody works for the library, nothing half done is in it, and the machine can be started.
fn assert_sound(tandem: &Tandem, machine: &Machine<'_>) -> Result<()> {
    wait_for_rest(tandem, machine)?;
    let (sockets, folders) = (tandem.sockets()?, tandem.folders()?);
    ensure!(sockets.is_empty() && folders.len() == 1, "{sockets:?} {folders:?}");
    machine.start()?;
    ensure!(machine.state()? == "running");
    machine.ok("kill", &[])?;
    ensure!(machine.state()? == "off");
    ensure!(tandem.sockets()?.is_empty(), "a socket was left");
    wait_for_quiet(tandem)
}

#[test]
fn run_tells_by_its_exit_status_how_the_machine_ended() -> Result<()> {
    let tandem = Tandem::new()?;
    let off = booting(&tandem, "off", BootSector::PowerOff)?;
    assert_eq!(end_of(&mut off.run()?)?.code(), Some(0));
    assert_eq!(off.state()?, "off");

    let killed = booting(&tandem, "killed", BootSector::Halt)?;
    let mut run = killed.run()?;
    killed.wait_for_state("running", Patience::REACTION)?;
    killed.ok("kill", &[])?;
    assert_eq!((end_of(&mut run)?.code(), killed.state()?.as_str()), (Some(3), "off"));

    let lost = booting(&tandem, "lost", BootSector::Lost)?;
    assert_eq!(end_of(&mut lost.run()?)?.code(), Some(4));
    assert_eq!(lost.state()?, "crashed");
    assert!(lost.ok("logs", &[])?.contains("the machine has failed"), "{}", lost.ok("logs", &[])?);
    lost.start()?;
    lost.wait_for_state("crashed", Patience::FIRMWARE)?;
    assert!(tandem.sockets()?.is_empty());
    Ok(())
}

#[test]
fn an_interrupt_presses_the_power_button_and_a_second_pulls_the_plug() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "deaf", BootSector::Halt)?;
    let mut run = machine.run()?;
    machine.wait_for_state("running", Patience::REACTION)?;
    let pid = machine.pid()?;
    assert_eq!(pid.as_raw_nonzero().get(), i32::try_from(run.id())?, "a process beside the one that was started");
    let log =
        |word: &str| wait_until(word, Patience::REACTION, || Ok(machine.ok("logs", &[])?.contains(word).then_some(())));
    kill_process(pid, Signal::HUP)?;
    kill_process(pid, Signal::INT)?;
    log("PowerButton")?;
    assert_eq!(machine.state()?, "running", "the guest decides");
    kill_process(pid, Signal::INT)?;
    assert_eq!(end_of(&mut run)?.code(), Some(3));
    assert_eq!(machine.state()?, "off");
    assert!(tandem.sockets()?.is_empty());
    Ok(())
}

#[test]
fn a_started_machine_outlives_its_terminal() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "lasting", BootSector::Halt)?;
    let start = tandem.command(["start", "lasting", "--headless"]);
    let program = start.get_program().to_str().context("the path is text")?;
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &format!("'{program}' start lasting --headless"), "/dev/null"]);
    terminal.envs(start.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let Ok(said) = terminal.output() else {
        skip("`script` is not installed, which makes terminals");
        return Ok(());
    };
    // The terminal is gone, and everything that it could end with it.
    assert!(said.status.success(), "{said:?}");
    assert_eq!(machine.state()?, "running");
    let pid = machine.pid()?.as_raw_nonzero().get();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "its session and its terminal: {stat}");
    for number in 0..3 {
        assert_eq!(fs::read_link(format!("/proc/{pid}/fd/{number}"))?, Path::new("/dev/null"));
    }
    Ok(())
}

#[test]
fn of_many_starts_at_once_one_wins() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "wanted", BootSector::Halt)?;
    let starts: Vec<Child> = (0..5)
        .map(|_| tandem.command(["start", "wanted"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn())
        .collect::<std::io::Result<_>>()?;
    let mut won = 0;
    for start in starts {
        let output = start.wait_with_output()?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let said = Said { status: output.status, out: text(&output.stdout), err: text(&output.stderr) };
        if said.status.success() {
            won += 1;
        } else {
            let refusal = said.refusal()?;
            ensure!(refusal.starts_with("'wanted' is "), "{refusal}");
        }
    }
    assert_eq!((won, machine.state()?.as_str()), (1, "running"));
    assert_eq!((tandem.processes()?.len(), tandem.sockets()?.len()), (1, 1));
    // What belongs to the run can't be changed now.
    for args in [
        &["start", "wanted"][..],
        &["run", "wanted"],
        &["delete", "wanted"],
        &["rename", "wanted", "other"],
        &["edit", "wanted", "--cpus", "2"],
    ] {
        assert!(tandem.refused(args)?.contains("is running"));
    }
    machine.ok("kill", &[])?;
    assert_sound(&tandem, &machine)
}

#[test]
fn two_machines_never_write_to_the_same_disk() -> Result<()> {
    let tandem = Tandem::new()?;
    let first = booting(&tandem, "first", BootSector::Halt)?;
    let disk = tandem.scratch("first.img");
    let path = disk.to_str().context("the path is text")?;
    let second = small(&tandem, "second", &["--disk", path])?;
    first.start()?;
    let refusal = tandem.refused(&["start", "second"])?;
    assert!(refusal.contains("is used by another machine or program"), "{refusal}");
    assert_eq!(second.state()?, "off");
    first.ok("kill", &[])?;
    second.start()
}

#[test]
fn a_process_that_is_killed_leaves_a_machine_that_has_crashed_and_starts_again() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "mortal", BootSector::Halt)?;
    machine.start()?;
    machine.end_process()?;
    assert_eq!(wait_for_rest(&tandem, &machine)?, "crashed");
    assert!(tandem.refused(&["kill", "mortal"])?.contains("is crashed"));
    assert_sound(&tandem, &machine)?;

    machine.start()?;
    machine.ok("pause", &[])?;
    machine.end_process()?;
    assert_sound(&tandem, &machine)?;

    // A process that doesn't answer can be killed by command.
    let mut run = machine.run()?;
    machine.wait_for_state("running", Patience::REACTION)?;
    kill_process(machine.pid()?, Signal::STOP)?;
    machine.ok("kill", &[])?;
    assert_eq!(end_of(&mut run)?.signal(), Some(9));
    assert_eq!(machine.state()?, "off", "a person wanted it");
    assert_sound(&tandem, &machine)
}

/// Moments to end a process at, from its first instructions on.
fn moments() -> impl Iterator<Item = Duration> {
    (0..8).map(|power| Duration::from_micros(500 << power))
}

#[test]
fn a_start_that_is_killed_at_any_moment_leaves_nothing() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "mortal", BootSector::Halt)?;
    for moment in moments() {
        // The one who starts it: the machine then runs, or doesn't.
        let mut starter = tandem.command(["start", "mortal"]).stderr(Stdio::null()).spawn()?;
        thread::sleep(moment);
        starter.kill()?;
        starter.wait()?;
        // What it has begun comes to its end: no process, or a machine that runs.
        wait_until("an end of the start", Patience::REACTION, || {
            let state = machine.state()?;
            let settled = state == "running" || tandem.processes()?.is_empty();
            Ok(settled.then_some(()))
        })?;
        if machine.state()? == "running" {
            machine.ok("kill", &[])?;
        }
        assert_sound(&tandem, &machine).with_context(|| format!("starter, after {moment:?}"))?;

        // The machine's own process, while it starts.
        let mut process = tandem.command(["run", "mortal"]).stderr(Stdio::null()).spawn()?;
        thread::sleep(moment);
        process.kill()?;
        process.wait()?;
        assert_sound(&tandem, &machine).with_context(|| format!("machine, after {moment:?}"))?;
    }
    Ok(())
}

#[test]
fn a_stop_that_is_killed_at_any_moment_leaves_nothing() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "mortal", BootSector::Halt)?;
    for moment in moments() {
        let mut run = machine.run()?;
        machine.wait_for_state("running", Patience::REACTION)?;
        let mut kill = tandem.command(["kill", "mortal"]).stderr(Stdio::null()).spawn()?;
        thread::sleep(moment);
        run.kill()?;
        run.wait()?;
        kill.wait()?;
        assert_sound(&tandem, &machine).with_context(|| format!("after {moment:?}"))?;
    }
    Ok(())
}

#[test]
fn a_change_to_the_library_that_is_killed_at_any_moment_has_happened_or_has_not() -> Result<()> {
    let tandem = Tandem::new()?;
    let name = |row: &serde_json::Value| row["name"].as_str().unwrap_or_default().to_owned();
    let names = |trash: &[&str]| -> Result<Vec<String>> {
        let list = tandem.json(&[&["list"], trash].concat())?;
        Ok(list.as_array().context("a list")?.iter().map(name).collect())
    };
    for (number, moment) in moments().enumerate() {
        let (old, new) = (format!("old{number}"), format!("new{number}"));
        let killed = |args: &[&str]| -> Result<()> {
            let mut change = tandem.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            thread::sleep(moment);
            change.kill()?;
            change.wait()?;
            // The next command cleans.
            tandem.ok(&["list"])?;
            Ok(())
        };
        let there = |wanted: &[&String]| -> Result<usize> {
            Ok(names(&[])?.iter().chain(&names(&["--trash"])?).filter(|name| wanted.contains(name)).count())
        };
        killed(&["create", &old, "--disk", "64M"])?;
        if there(&[&old])? == 0 {
            tandem.ok(&["create", &old, "--disk", "64M"])?;
        }
        killed(&["rename", &old, &new])?;
        ensure!(there(&[&old, &new])? == 1, "renamed, after {moment:?}");
        if names(&[])?.contains(&old) {
            tandem.ok(&["rename", &old, &new])?;
        }
        killed(&["edit", &new, "--notes", "remember"])?;
        killed(&["delete", &new])?;
        ensure!(there(&[&new])? == 1, "deleted, after {moment:?}");
        killed(&["undelete", &new])?;
        ensure!(there(&[&new])? == 1, "brought back, after {moment:?}");
        for folder in tandem.folders()? {
            let left: BTreeSet<String> = fs::read_dir(&folder)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<Result<_>>()?;
            let known = ["disks", "lock", "log", "machine.toml", "state"].map(str::to_owned);
            ensure!(left == BTreeSet::from(known), "{}: {left:?}", folder.display());
        }
    }
    Ok(())
}

#[test]
fn discs_are_changed_while_the_machine_is_off_and_while_it_runs() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = small(&tandem, "drive", &[])?;
    let (grub, ipxe) = (Guest::GrubRescueIso.path()?, Guest::IpxeIso.path()?);
    machine.ok("insert", &[&ipxe])?;
    assert!(machine.ok("show", &[])?.contains(&ipxe));
    machine.ok("eject", &[])?;
    assert!(!machine.ok("show", &[])?.contains(".iso"));

    machine.start()?;
    machine.wait_for_screen("No bootable device", Patience::FIRMWARE)?;
    machine.ok("insert", &[&grub])?;
    machine.ok("reset", &[])?;
    machine.wait_for_screen("GNU GRUB", Patience::FIRMWARE)?;
    machine.type_text("c")?;
    machine.wait_for_screen("grub>", Patience::REACTION)?;
    machine.ok("eject", &[])?;
    assert!(!machine.ok("show", &[])?.contains(".iso"));
    // The drive and the machine are still there, and another disc can be put in while it stands still.
    machine.type_text("echo he''re\n")?;
    machine.wait_for_screen("here", Patience::REACTION)?;
    machine.ok("pause", &[])?;
    machine.ok("insert", &[&grub])?;
    machine.ok("resume", &[])?;
    machine.ok("reset", &[])?;
    machine.wait_for_screen_that("GRUB again", Patience::FIRMWARE, &|screen| !screen.contains("grub>"))?;
    machine.wait_for_screen("GNU GRUB", Patience::FIRMWARE)?;
    machine.ok("kill", &[])?;
    assert!(machine.ok("show", &[])?.contains(&grub), "remembered for the next start");
    Ok(())
}

#[test]
fn the_logs_of_ten_runs_are_kept() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "busy", BootSector::Halt)?;
    for _ in 0..12 {
        machine.start()?;
        machine.ok("kill", &[])?;
    }
    let logs = tandem.json(&["logs", "busy"])?;
    let logs = logs.as_array().context("a list")?;
    assert_eq!((logs.len(), logs[0]["run"].as_u64(), logs[9]["run"].as_u64()), (10, Some(1), Some(10)));
    for log in logs {
        let text = fs::read_to_string(log["file"].as_str().context("a path")?)?;
        ensure!(text.contains("the machine is off"), "{text}");
    }
    assert!(machine.ok("logs", &["--run", "10"])?.contains("the machine is off"));
    Ok(())
}

#[test]
fn a_machine_may_have_any_name() -> Result<()> {
    let tandem = Tandem::new()?;
    let long = "ü".repeat(200);
    let names = [
        "a/b",
        "../../etc/passwd",
        ".hidden",
        "..",
        "🦀 Crab 👩‍👩‍👧",
        "-x",
        "Mint",
        "mint",
        "a\\b'c\"d $HOME `id`",
        &long,
        "CON.",
    ];
    for name in names {
        // After `--` a name may begin with a dash.
        tandem.ok(&["create", "--memory", "64M", "--cpus", "1", "--", name])?;
        let folder = tandem.json(&["show", "--", name])?["folder"].as_str().context("a folder")?.to_owned();
        ensure!(Path::new(&folder).parent() == Some(&tandem.home().join("machines")), "{name}: {folder}");
    }
    assert_eq!(tandem.json(&["list"])?.as_array().context("a list")?.len(), names.len());
    // Blanks around it were not meant.
    assert!(tandem.refused(&["create", " Mint "])?.contains("already a machine called 'Mint'"));
    for name in ["a/b", "-x", &long] {
        let machine = tandem.adopt(name);
        tandem.ok(&["start", "--", name])?;
        wait_until("it to run", Patience::REACTION, || {
            Ok((tandem.json(&["show", "--", machine.name()])?["state"] == "running").then_some(()))
        })?;
        tandem.ok(&["kill", "--", name])?;
    }
    // From one to the next and through the trash.
    tandem.ok(&["rename", "--", "-x", "x/-"])?;
    tandem.ok(&["delete", "x/-"])?;
    assert_eq!(tandem.json(&["list", "--trash"])?[0]["name"], "x/-");
    tandem.ok(&["create", "x/-"])?;
    assert!(tandem.refused(&["undelete", "x/-"])?.contains("already"));
    tandem.ok(&["undelete", "x/-", "--as", "👍"])?;
    assert!(tandem.refused(&["rename", "👍", "mint"])?.contains("already"));
    Ok(())
}

#[test]
fn a_machine_is_changed_by_options_renamed_deleted_and_brought_back() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = small(&tandem, "one", &["--disk", "64M"])?;
    machine
        .ok("edit", &["--cpus", "3", "--memory", "96M", "--add-disk", "32M", "--boot", "disk1", "--notes", "new"])?;
    let shown = tandem.json(&["show", "one"])?;
    let definition = &shown["definition"];
    assert_eq!((&definition["cpus"], &definition["memory"]), (&3.into(), &"96 MiB".into()));
    assert_eq!((&definition["boot"][0], &definition["notes"]), (&"disk1".into(), &"new".into()));
    let disks = machine.folder()?.join("disks");
    assert_eq!(fs::read_dir(&disks)?.count(), 2);
    // A change of which a part can't be leaves nothing of its other parts.
    let refusal = tandem.refused(&["edit", "one", "--add-disk", "16M", "--boot", "disk9"])?;
    assert!(refusal.contains("Nothing was changed"), "{refusal}");
    assert_eq!(fs::read_dir(&disks)?.count(), 2);
    tandem.ok(&["rename", "one", "two"])?;
    assert!(tandem.home().join("machines/two/machine.toml").is_file());
    tandem.ok(&["delete", "two"])?;
    assert!(tandem.refused(&["start", "two"])?.contains("no machine called 'two'"));
    tandem.ok(&["undelete", "two"])?;
    assert_eq!(tandem.json(&["show", "two"])?["definition"]["disks"], definition["disks"]);
    let machine = tandem.adopt("two");
    machine.start()?;
    machine.ok("kill", &[])?;
    tandem.ok(&["delete", "two"])?;
    tandem.ok(&["empty-trash"])?;
    assert!(tandem.refused(&["undelete", "two"])?.contains("in the trash"));
    Ok(())
}

#[test]
fn what_is_listed_for_programs_is_json() -> Result<()> {
    let tandem = Tandem::new()?;
    assert_eq!(tandem.json(&["list"])?, serde_json::json!([]));
    assert_eq!(tandem.json(&["list", "--trash"])?, serde_json::json!([]));
    let machine = booting(&tandem, "told", BootSector::Halt)?;
    assert_eq!(tandem.json(&["logs", "told"])?, serde_json::json!([]));
    machine.start()?;
    assert_eq!(tandem.json(&["list"])?[0]["state"], "running");
    let shown = tandem.json(&["show", "told"])?;
    assert!(shown["run"]["pid"].is_u64() && shown["definition"]["uuid"].is_string(), "{shown}");
    let stats = tandem.json(&["stats", "told"])?;
    assert!(stats["process.resident-bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{stats}");
    // Its exit status says whether the host is in order; what it writes is JSON in any case.
    let doctor: serde_json::Value = serde_json::from_str(&tandem.run(["doctor", "--json"])?.out)?;
    assert!(doctor["findings"].as_array().is_some_and(|findings| !findings.is_empty()), "{doctor}");
    Ok(())
}

#[test]
fn a_machine_is_found_whatever_the_runtime_folder_is() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "found", BootSector::Halt)?;
    let long = tandem.scratch(&"r".repeat(150));
    fs::create_dir(&long)?;
    for folder in [long.as_path(), Path::new("/nowhere"), Path::new("relative"), Path::new("")] {
        let mut start = tandem.command(["start", "found"]);
        let said = Said::by(start.env("XDG_RUNTIME_DIR", folder))?;
        ensure!(said.status.success(), "{}: {}", folder.display(), said.err);
        // With another folder in its environment, a command finds it all the same.
        ensure!(machine.state()? == "running");
        machine.ok("kill", &[])?;
    }
    assert!(tandem.sockets()?.is_empty());
    Ok(())
}

#[test]
fn a_machine_outlives_the_runtime_folder_of_a_session() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "lasting", BootSector::Halt)?;
    let session = tandem.scratch("session");
    fs::create_dir(&session)?;
    let said = Said::by(tandem.command(["start", "lasting"]).env("XDG_RUNTIME_DIR", &session))?;
    ensure!(said.status.success(), "{}", said.err);
    fs::remove_dir_all(&session)?;
    machine.ok("pause", &[])?;
    assert_eq!(machine.state()?, "paused");
    machine.ok("kill", &[])?;
    assert_eq!(machine.state()?, "off");
    Ok(())
}

#[test]
fn a_machine_whose_socket_is_gone_is_said_to_be_and_can_be_stopped_and_killed() -> Result<()> {
    let tandem = Tandem::new()?;
    let deaf = booting(&tandem, "deaf", BootSector::Halt)?;
    let other = booting(&tandem, "other", BootSector::Halt)?;
    let mut run = deaf.run()?;
    deaf.wait_for_state("running", Patience::REACTION)?;
    other.start()?;
    for socket in tandem.sockets()? {
        ensure!(socket.starts_with(tandem.home()), "{}", socket.display());
    }
    fs::remove_file(deaf.folder()?.join("control.sock"))?;

    let shown = tandem.json(&["show", "deaf"])?;
    assert!(shown["state"].is_null() && shown["error"].as_str().is_some_and(|error| error.contains("is gone")));
    let listed = tandem.json(&["list"])?;
    assert!(listed[0]["state"].is_null() && listed[0]["error"].is_string(), "{listed}");
    assert_eq!(listed[1]["state"], "running", "{listed}");
    let refusal = tandem.refused(&["screenshot", "deaf", "--text"])?;
    assert!(refusal.contains("`tandem kill`"), "{refusal}");
    assert!(tandem.refused(&["start", "deaf"])?.contains("is running"));
    // The power button, however often: it never pulls the plug.
    for presses in 1..=3 {
        deaf.ok("stop", &[])?;
        wait_until("the power button", Patience::REACTION, || {
            Ok((deaf.ok("logs", &[])?.matches("PowerButton").count() == presses).then_some(()))
        })?;
    }
    deaf.ok("kill", &[])?;
    assert_eq!((end_of(&mut run)?.code(), deaf.state()?.as_str()), (Some(3), "off"));
    Ok(())
}

#[test]
fn a_machines_process_keeps_nothing_of_its_caller() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = booting(&tandem, "own", BootSector::Halt)?;
    let caller = tandem.scratch("caller");
    fs::create_dir(&caller)?;
    let start = tandem.command(["start", "own"]);
    let mut shell = Command::new("sh");
    // A descriptor that the shell hands on.
    shell.args(["-c", "exec 7>left-open; \"$0\" start own"]).arg(start.get_program()).current_dir(&caller);
    shell.envs(start.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = Said::by(&mut shell)?;
    ensure!(said.status.success(), "{}", said.err);
    let process = format!("/proc/{}", machine.pid()?.as_raw_nonzero());
    assert_eq!(fs::read_link(format!("{process}/cwd"))?, Path::new("/"));
    for file in fs::read_dir(format!("{process}/fd"))? {
        let open = fs::read_link(file?.path()).unwrap_or_default();
        ensure!(!open.starts_with(&caller), "{}", open.display());
    }
    assert_eq!(fs::read_to_string(format!("{process}/cmdline"))?, "tandem\0machine-process\0own\0");
    assert_eq!(fs::read_to_string(format!("{process}/comm"))?, "tandem\n");
    Ok(())
}

#[test]
fn a_machine_that_hangs_holds_up_no_list() -> Result<()> {
    let tandem = Tandem::new()?;
    let names = ["a", "b", "c", "d"];
    let machines = names.iter().map(|name| booting(&tandem, name, BootSector::Halt)).collect::<Result<Vec<_>>>()?;
    for machine in &machines {
        machine.start()?;
    }
    let pids = machines[1..].iter().map(Machine::pid).collect::<Result<Vec<_>>>()?;
    for pid in &pids {
        kill_process(*pid, Signal::STOP)?;
    }
    let start = std::time::Instant::now();
    let listed = tandem.json(&["list"])?;
    // One after the other they would take three times as long as one.
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
    assert_eq!(listed[0]["state"], "running", "{listed}");
    for row in 1..names.len() {
        assert!(listed[row]["error"].as_str().is_some_and(|error| error.contains("was stopped")), "{listed}");
    }
    for pid in pids {
        kill_process(pid, Signal::CONT)?;
    }
    for machine in &machines {
        machine.wait_for_state("running", Patience::REACTION)?;
    }
    Ok(())
}
