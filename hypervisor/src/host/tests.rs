use tempfile::TempDir;

use super::*;

/// A host with these files and modules, and no KVM device.
fn host(cpu_flags: &str, modules: &[&str]) -> (TempDir, Host) {
    let root = tempfile::tempdir().unwrap();
    for folder in ["dev", "proc", "sys/module", "sys/class/dmi/id"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let info = format!("processor\t: 0\nvmx flags\t: vnmi\nflags\t\t: fpu vme {cpu_flags}\n");
    fs::write(root.path().join("proc/cpuinfo"), info).unwrap();
    for module in modules {
        fs::create_dir(root.path().join("sys/module").join(module)).unwrap();
    }
    let host = Host::at(root.path());
    (root, host)
}

fn finding(host: &Host, id: &str) -> Finding {
    let findings = host.findings();
    findings.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no {id} in {findings:?}")).clone()
}

#[test]
fn a_processor_without_virtualization_is_a_problem_of_its_firmware() {
    let (_root, host) = host("sse2", &[]);
    let finding = finding(&host, "processor");
    assert_eq!(finding.severity, Severity::Problem);
    assert!(finding.fix.unwrap().to_string().contains("firmware set-up"));
}

#[test]
fn in_a_virtual_machine_it_is_the_hypervisors() {
    let (root, host) = host("hypervisor", &[]);
    fs::write(root.path().join("sys/class/dmi/id/sys_vendor"), "QEMU\n").unwrap();
    assert!(finding(&host, "processor").fix.unwrap().to_string().contains("nested virtualization"));
    assert_eq!(finding(&host, "nested").what, "This host is itself a virtual machine (QEMU).");
}

#[test]
fn a_missing_module_is_loaded_by_the_right_command() {
    for (flag, command) in [("svm", "sudo modprobe kvm_amd"), ("vmx", "sudo modprobe kvm_intel")] {
        let (_root, host) = host(flag, &["kvm"]);
        assert_eq!(finding(&host, "processor").severity, Severity::Ok);
        for id in ["kvm-kind", "kvm-device"] {
            let finding = finding(&host, id);
            assert_eq!((finding.severity, finding.fix), (Severity::Problem, Some(Fix::Command(command.into()))));
        }
    }
}

#[test]
fn kinds_of_kvm_are_told_apart() {
    for kind in KvmKind::ALL {
        let (_root, host) = host("", &["kvm", kind.module()]);
        assert_eq!(host.kvm_kind(), Some(kind));
        assert!(finding(&host, "kvm-kind").what.contains(kind.module()));
    }
    let (_root, host) = host("", &["kvm", "kvm_pvm"]);
    assert_eq!(finding(&host, "processor").severity, Severity::Note);
}

#[test]
fn other_hypervisors_are_named() {
    let (_root, host) = host("svm", &["vboxdrv", "vmmon"]);
    let conflicts: Vec<_> =
        host.findings().into_iter().filter(|finding| finding.id == "conflict").map(|finding| finding.what).collect();
    assert_eq!(conflicts.len(), 2);
    assert!(conflicts[0].starts_with("VirtualBox") && conflicts[1].starts_with("VMware"));
}

#[test]
fn a_device_that_is_none_is_a_problem_and_no_guest_runs() {
    let (root, host) = host("svm", &["kvm_amd"]);
    fs::write(root.path().join("dev/kvm"), "").unwrap();
    assert_eq!(finding(&host, "kvm-device").severity, Severity::Problem);
    assert!(matches!(host.real_guests(), RealGuests::NoKvm { .. }));
}

#[test]
fn an_account_without_the_right_is_told_the_command() {
    let (_root, host) = host("svm", &["kvm_amd"]);
    let finding = host.no_device(&PartitionError::NotAllowed { path: "/dev/kvm".into() });
    assert!(finding.what.starts_with("This account may not use"));
    assert_eq!(finding.fix.unwrap().to_string(), "Run `sudo usermod -aG kvm $USER` and log in again.");
    assert_eq!(host.no_device(&PartitionError::Busy).id, "kvm-free");
}

#[test]
fn this_hosts_verdict_fits_its_kind() {
    let host = Host::new();
    let verdict = host.real_guests();
    match (host.kvm_kind(), &verdict) {
        (Some(KvmKind::Intel | KvmKind::Amd), RealGuests::Yes) => {}
        (Some(KvmKind::Pvm), RealGuests::No { reason, details }) => {
            assert_eq!(
                reason,
                "This host's KVM (kvm_pvm) runs only specially built guests: an unmodified system will not start."
            );
            assert!(details.contains("step"), "{details}");
        }
        (_, RealGuests::NoKvm { reason }) => eprintln!("SKIPPED, NOT TESTED: {reason}"),
        other => panic!("{other:?}"),
    }
    let expected = if verdict == RealGuests::Yes { Severity::Ok } else { Severity::Problem };
    assert!(host.findings().iter().any(|finding| finding.severity == expected), "{:?}", host.findings());
}
