//! A host that doesn't give what is asked: no permission, a read-only or full file system. Some of these need another
//! user or a mount of their own; where that can't be had, they say so.

use std::{env, os::unix::fs::PermissionsExt, process::Command};

use super::{
    child::{self, Operation, prepared},
    *,
};

/// Runs the operation as an ordinary user: by itself, or, as root, through `setpriv` as nobody.
fn as_ordinary_user(operation: Operation, root: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        let output = child::command(&[], &env::current_exe().unwrap(), operation, root).output().unwrap();
        return Some(child::result(&output));
    }
    let setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    if !Command::new(setpriv[0]).args(&setpriv[1..]).arg("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this needs an ordinary user, or root with setpriv");
        return None;
    }
    // The test program may lie where only root looks.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let binary = dir.path().join("test");
    std::fs::copy(env::current_exe().unwrap(), &binary).unwrap();
    let output = child::command(&setpriv, &binary, operation, root).current_dir("/").output().unwrap();
    Some(child::result(&output))
}

/// A prepared library that the ordinary user owns.
fn owned_library() -> (TempDir, Library) {
    let (dir, library) = prepared();
    if rustix::process::geteuid().is_root() {
        let paths = tree(dir.path()).into_keys().map(|path| dir.path().join(path)).chain([dir.path().to_owned()]);
        for path in paths {
            std::os::unix::fs::lchown(path, Some(65534), Some(65534)).unwrap();
        }
    }
    (dir, library)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn an_ordinary_user_can_do_everything() {
    for operation in Operation::ALL {
        let (dir, _library) = owned_library();
        let Some(result) = as_ordinary_user(operation, dir.path()) else { return };
        assert_eq!(result, "ok", "{operation:?}");
    }
}

#[test]
fn without_permission_the_error_says_so_and_nothing_is_changed() {
    for operation in [Operation::Create, Operation::Update, Operation::Rename, Operation::Delete, Operation::Purge] {
        let (dir, library) = owned_library();
        let before = tree(dir.path());
        let folders = [
            library.root().to_owned(),
            library.machines_dir(),
            library.trash_dir(),
            library.machines_dir().join("Mint"),
        ];
        folders.iter().for_each(|folder| set_mode(folder, 0o500));
        let result = as_ordinary_user(operation, dir.path());
        folders.iter().for_each(|folder| set_mode(folder, 0o700));
        let Some(result) = result else { return };
        assert!(result.contains("this account may not. Nothing was changed"), "{operation:?}: {result}");
        assert_eq!(tree(dir.path()), before, "{operation:?}");
    }
}

#[test]
fn a_library_that_cannot_be_written_can_be_read() {
    let (dir, library) = owned_library();
    // Where a lock may be missing as well, and something would have to be cleaned up.
    std::fs::remove_file(library.root().join("lock")).unwrap();
    std::fs::create_dir(library.machines_dir().join(".new-1")).unwrap();
    let folders = [library.root().to_owned(), library.machines_dir(), library.trash_dir()];
    folders.iter().for_each(|folder| set_mode(folder, 0o500));
    let result = as_ordinary_user(Operation::Expire, dir.path());
    folders.iter().for_each(|folder| set_mode(folder, 0o700));
    let Some(result) = result else { return };
    assert_eq!(result, "ok");
    assert_eq!((machines(&library), trashed(&library)), (vec!["Mint".to_owned()], vec!["Gone".to_owned()]));
}

#[test]
fn a_library_of_another_user_is_refused() {
    let (dir, _library) = owned_library();
    let root = dir.path().join("inner");
    std::fs::create_dir(&root).unwrap();
    set_mode(&root, 0o000);
    let result = as_ordinary_user(Operation::Create, &root.join("library"));
    set_mode(&root, 0o700);
    let Some(result) = result else { return };
    assert!(result.contains("this account may not"), "{result}");
}

/// Runs the operation on a copy of the library in a file system of its own, which is full or read-only. What the
/// library holds afterwards stands in `dir/after`.
fn on_a_mount(operation: Operation, dir: &Path, prepare: &str) -> Option<String> {
    let namespace = ["unshare", "--mount", "sh", "-ec"];
    let mounted = "mkdir -p \"$0/mnt\"; mount -t tmpfs -o size=512k tandem-test \"$0/mnt\"";
    let can = Command::new(namespace[0]).args(&namespace[1..]).arg(mounted).arg(dir).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this needs the right to mount");
        return None;
    }
    let script = format!(
        "{mounted}; cp -a \"$0/library\" \"$0/mnt\"; {prepare}; \"$@\"; rm -f \"$0/mnt/filler\"; \
         cp -a \"$0/mnt/library\" \"$0/after\""
    );
    let script = script.as_str();
    let dir = dir.to_str().unwrap();
    let program = [&namespace[..], &[script, dir]].concat();
    let output = child::command(&program, &env::current_exe().unwrap(), operation, &Path::new(dir).join("mnt/library"))
        .output()
        .unwrap();
    Some(child::result(&output))
}

/// A prepared library in `library` of a folder.
fn library_to_mount() -> (TempDir, BTreeMap<PathBuf, String>) {
    let (dir, library) = prepared();
    let outer = tempfile::tempdir().unwrap();
    let before = tree(library.root());
    std::fs::rename(dir.path(), outer.path().join("library")).unwrap();
    drop(dir);
    (outer, before)
}

#[test]
fn on_a_full_disk_the_error_says_so_and_nothing_is_lost() {
    for operation in [Operation::Create, Operation::Update, Operation::Rename, Operation::RestoreAs] {
        let (dir, before) = library_to_mount();
        let fill = "dd if=/dev/zero of=\"$0/mnt/filler\" bs=4k 2>/dev/null || true";
        let Some(result) = on_a_mount(operation, dir.path(), fill) else { return };
        assert!(result.contains("the disk is full. Nothing was changed"), "{operation:?}: {result}");
        assert_eq!(tree(&dir.path().join("after")), before, "{operation:?}");
    }
}

#[test]
fn on_a_full_disk_deleting_works() {
    let (dir, _) = library_to_mount();
    let fill = "dd if=/dev/zero of=\"$0/mnt/filler\" bs=4k 2>/dev/null || true";
    let Some(result) = on_a_mount(Operation::Purge, dir.path(), fill) else { return };
    assert_eq!(result, "ok");
}

#[test]
fn on_a_read_only_file_system_the_error_says_so() {
    for operation in [Operation::Create, Operation::Update, Operation::Rename, Operation::Delete, Operation::Restore] {
        let (dir, before) = library_to_mount();
        let Some(result) = on_a_mount(operation, dir.path(), "mount -o remount,ro \"$0/mnt\"") else { return };
        assert!(result.contains("the file system is read-only. Nothing was changed"), "{operation:?}: {result}");
        assert_eq!(tree(&dir.path().join("after")), before, "{operation:?}");
    }
}

#[test]
fn what_is_mounted_into_a_machine_is_not_deleted() {
    let (dir, _) = library_to_mount();
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "x").unwrap();
    let bind = "mount --bind \"$0/outside\" \"$0\"/mnt/library/trash/*-Gone/state";
    let Some(result) = on_a_mount(Operation::Purge, dir.path(), bind) else { return };
    assert!(result.starts_with("can't delete"), "{result}");
    assert_eq!(std::fs::read_to_string(outside.join("precious")).unwrap(), "x");
}
