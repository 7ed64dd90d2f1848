//! The file `bootorder`: device paths in the order in which firmware tries them, one a line, closed by a zero
//! byte. Paths have the form of Open Firmware's PCI binding; SeaBIOS and OVMF look for the names given here.

use std::fmt::Write as _;

/// The file's name.
pub const NAME: &str = "bootorder";
/// The line after which firmware boots nothing more, instead of going on to what the file doesn't name.
pub const HALT: &str = "HALT";

/// A PCI device and function number.
pub type Slot = (u8, u8);

/// The path of a PCI function: the slots of the bridges on the way to it, its kind (`ethernet`, `scsi`…) and
/// its own slot.
#[must_use]
pub fn pci_path(bridges: &[Slot], kind: &str, slot: Slot) -> String {
    let mut path = String::from("/pci@i0cf8");
    for &bridge in bridges {
        push_node(&mut path, "pci-bridge", bridge);
    }
    push_node(&mut path, kind, slot);
    path
}

fn push_node(path: &mut String, kind: &str, (device, function): Slot) {
    // Writing to a string can't fail.
    let _ = write!(path, "/{kind}@{device:x}");
    if function != 0 {
        let _ = write!(path, ",{function:x}");
    }
}

/// The path of what is connected to `port` of an ICH9 AHCI controller on the root bus: a disk or a CD drive.
#[must_use]
pub fn ahci_path(slot: Slot, port: u8) -> String {
    format!("{}/drive@{port:x}/disk@0", pci_path(&[], "pci8086,2922", slot))
}

/// The path of a network card on the root bus.
#[must_use]
pub fn network_path(slot: Slot) -> String {
    format!("{}/ethernet-phy@0", pci_path(&[], "ethernet", slot))
}

/// The file for these paths.
#[must_use]
pub fn file(paths: &[String]) -> Vec<u8> {
    let mut bytes = paths.join("\n").into_bytes();
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_ones_firmware_looks_for() {
        assert_eq!(ahci_path((0x1f, 2), 1), "/pci@i0cf8/pci8086,2922@1f,2/drive@1/disk@0");
        assert_eq!(network_path((3, 0)), "/pci@i0cf8/ethernet@3/ethernet-phy@0");
        assert_eq!(pci_path(&[(0x1c, 0), (2, 1)], "scsi", (0, 0)), "/pci@i0cf8/pci-bridge@1c/pci-bridge@2,1/scsi@0");
    }

    #[test]
    fn lines_are_separated_and_the_file_is_closed() {
        let bytes = file(&[ahci_path((0x1f, 2), 0), HALT.into()]);
        assert_eq!(bytes, b"/pci@i0cf8/pci8086,2922@1f,2/drive@0/disk@0\nHALT\0");
        assert_eq!(file(&[]), b"\0");
    }
}
