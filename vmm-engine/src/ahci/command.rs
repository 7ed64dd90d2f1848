//! Command headers, command tables and physical region descriptors in guest memory (AHCI 1.3.1, section 4.2).

use hypervisor::memory::GuestMemory;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, VolatileSlice};

use super::fis::REGISTER_LEN;

const HEADER_LEN: u64 = 32;
const ATAPI_COMMAND_OFFSET: u64 = 0x40;
const PRDT_OFFSET: u64 = 0x80;
const DESCRIPTOR_LEN: usize = 16;
/// Descriptors that are read from guest memory at once.
const DESCRIPTORS_AT_ONCE: usize = 32;

/// Bytes of an ATAPI command in the command table.
pub(super) const PACKET_LEN: usize = 16;

/// An access by the controller reached no memory: a master abort on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BusFault;

impl<E: std::error::Error> From<E> for BusFault {
    fn from(_: E) -> Self {
        BusFault
    }
}

/// One entry of a port's command list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommandHeader {
    /// CFL: length of the command FIS, in dwords.
    pub(super) fis_dwords: u8,
    /// A: the command table holds an ATAPI command.
    pub(super) has_packet: bool,
    /// C: clear BSY once the FIS is sent.
    pub(super) clear_busy: bool,
    /// PRDTL: descriptors.
    descriptors: u16,
    /// CTBA: address of the command table.
    table: u64,
}

impl CommandHeader {
    /// Reads entry `slot` of the list at `list`.
    pub(super) fn read(memory: &GuestMemory, list: u64, slot: u8) -> Result<Self, BusFault> {
        let bytes: [u8; 16] = memory.read_obj(GuestAddress(header_address(list, slot)))?;
        let flags = u16::from_le_bytes([bytes[0], bytes[1]]);
        let table = [bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]];
        Ok(CommandHeader {
            fis_dwords: (flags & 0x1f) as u8,
            has_packet: flags & 1 << 5 != 0,
            clear_busy: flags & 1 << 10 != 0,
            descriptors: u16::from_le_bytes([bytes[2], bytes[3]]),
            table: u64::from_le_bytes(table) & !0x7f,
        })
    }

    /// The command FIS.
    pub(super) fn fis(&self, memory: &GuestMemory) -> Result<[u8; REGISTER_LEN], BusFault> {
        Ok(memory.read_obj(GuestAddress(self.table))?)
    }

    /// The ATAPI command.
    pub(super) fn packet(&self, memory: &GuestMemory) -> Result<[u8; PACKET_LEN], BusFault> {
        Ok(memory.read_obj(GuestAddress(self.table.wrapping_add(ATAPI_COMMAND_OFFSET)))?)
    }

    /// The first `want` bytes that the descriptors describe, or all, if they describe fewer.
    pub(super) fn buffers<'m>(&self, memory: &'m GuestMemory, want: u64) -> Result<Buffers<'m>, BusFault> {
        let mut buffers = Buffers { slices: Vec::new(), len: 0, interrupt: false };
        // Descriptors that lie side by side in memory are one run, so that the disk sees few large pieces.
        let mut run = Run { start: 0, len: 0 };
        let mut entries = [0; DESCRIPTORS_AT_ONCE * DESCRIPTOR_LEN];
        let mut left = usize::from(self.descriptors);
        let mut at = self.table.wrapping_add(PRDT_OFFSET);
        while left > 0 && buffers.len < want {
            let batch = left.min(DESCRIPTORS_AT_ONCE);
            let entries = &mut entries[..batch * DESCRIPTOR_LEN];
            memory.read_slice(entries, GuestAddress(at))?;
            for entry in entries.chunks_exact(DESCRIPTOR_LEN).map(Descriptor::parse) {
                let rest = want - buffers.len;
                if rest == 0 {
                    break;
                }
                let len = entry.len.min(rest);
                buffers.interrupt |= entry.interrupt && len == entry.len;
                if run.start.wrapping_add(run.len) != entry.address {
                    run.flush(memory, &mut buffers.slices)?;
                    run = Run { start: entry.address, len: 0 };
                }
                run.len += len;
                buffers.len += len;
            }
            left -= batch;
            at = at.wrapping_add(entries.len() as u64);
        }
        run.flush(memory, &mut buffers.slices)?;
        Ok(buffers)
    }
}

/// Writes PRDBC, the number of bytes that were moved for `slot`.
pub(super) fn set_byte_count(memory: &GuestMemory, list: u64, slot: u8, moved: u32) -> Result<(), BusFault> {
    Ok(memory.write_obj(moved.to_le(), GuestAddress(header_address(list, slot).wrapping_add(4)))?)
}

fn header_address(list: u64, slot: u8) -> u64 {
    list.wrapping_add(u64::from(slot) * HEADER_LEN)
}

/// A physical region descriptor. Addresses and lengths are even: bit 0 of either isn't looked at.
struct Descriptor {
    address: u64,
    len: u64,
    interrupt: bool,
}

impl Descriptor {
    fn parse(bytes: &[u8]) -> Self {
        let dword = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let control = dword(12);
        Descriptor {
            address: u64::from(dword(4)) << 32 | u64::from(dword(0) & !1),
            len: u64::from(control & 0x3f_ffff | 1) + 1,
            interrupt: control & 1 << 31 != 0,
        }
    }
}

struct Run {
    start: u64,
    len: u64,
}

impl Run {
    fn flush<'m>(&self, memory: &'m GuestMemory, slices: &mut Vec<VolatileSlice<'m>>) -> Result<(), BusFault> {
        for slice in GuestMemoryBackend::get_slices(memory, GuestAddress(self.start), self.len as usize) {
            slices.push(slice?);
        }
        Ok(())
    }
}

/// Guest memory that a command moves data to or from.
pub(super) struct Buffers<'m> {
    pub(super) slices: Vec<VolatileSlice<'m>>,
    /// Their bytes together.
    pub(super) len: u64,
    /// A descriptor that asks for an interrupt was used up.
    pub(super) interrupt: bool,
}

impl<'m> Buffers<'m> {
    /// Writes as much of `data` as fits.
    pub(super) fn put(&self, mut data: &[u8]) {
        for slice in &self.slices {
            let len = slice.len().min(data.len());
            slice.copy_from(&data[..len]);
            data = &data[len..];
        }
    }

    /// Reads everything.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut data = vec![0; self.len as usize];
        let mut rest = data.as_mut_slice();
        for slice in &self.slices {
            let (part, behind) = rest.split_at_mut(slice.len());
            slice.copy_to(part);
            rest = behind;
        }
        data
    }

    /// The first `len` bytes and the others.
    pub(super) fn split_at(&self, len: u64) -> Result<(Vec<VolatileSlice<'m>>, Vec<VolatileSlice<'m>>), BusFault> {
        let (mut front, mut back) = (Vec::new(), Vec::new());
        let mut left = len as usize;
        for slice in &self.slices {
            let (first, second) = slice.split_at(left.min(slice.len()))?;
            left -= first.len();
            front.extend((!first.is_empty()).then_some(first));
            back.extend((!second.is_empty()).then_some(second));
        }
        Ok((front, back))
    }
}

#[cfg(test)]
mod tests {
    use hypervisor::memory::guest_memory;

    use super::*;

    const TABLE: u64 = 0x1000;

    fn memory() -> GuestMemory {
        guest_memory(&[(0, 0x10000), (0x10000, 0x10000)]).unwrap()
    }

    fn header(memory: &GuestMemory, descriptors: &[(u64, u32)]) -> CommandHeader {
        for (index, &(address, control)) in descriptors.iter().enumerate() {
            let at = TABLE + PRDT_OFFSET + index as u64 * 16;
            memory.write_obj(address, GuestAddress(at)).unwrap();
            memory.write_obj(control, GuestAddress(at + 12)).unwrap();
        }
        let flags = 5_u32 | (descriptors.len() as u32) << 16;
        memory.write_obj(flags, GuestAddress(0x400 + 32 * 3)).unwrap();
        memory.write_obj(TABLE | 0x55, GuestAddress(0x400 + 32 * 3 + 8)).unwrap();
        CommandHeader::read(memory, 0x400, 3).unwrap()
    }

    fn pieces(buffers: &Buffers<'_>) -> Vec<usize> {
        buffers.slices.iter().map(VolatileSlice::len).collect()
    }

    #[test]
    fn a_header_is_read_where_its_slot_says() {
        let memory = memory();
        let header = header(&memory, &[(0x2000, 511)]);
        assert_eq!((header.fis_dwords, header.descriptors, header.table), (5, 1, TABLE));
    }

    #[test]
    fn descriptors_side_by_side_become_one_piece_and_odd_bits_are_ignored() {
        let memory = memory();
        let header = header(&memory, &[(0x2001, 0x1fe), (0x2200, 511), (0x3000, 1 << 31 | 511)]);
        let buffers = header.buffers(&memory, 4096).unwrap();
        assert_eq!((pieces(&buffers), buffers.len, buffers.interrupt), (vec![1024, 512], 1536, true));
    }

    #[test]
    fn a_piece_across_two_memory_regions_is_split_and_the_end_is_cut() {
        let memory = memory();
        let header = header(&memory, &[(0xfe00, 0x3f_ffff)]);
        let buffers = header.buffers(&memory, 1024).unwrap();
        assert_eq!((pieces(&buffers), buffers.interrupt), (vec![512, 512], false));
        let (front, back) = buffers.split_at(600).unwrap();
        assert_eq!((front.len(), back.len(), back[0].len()), (2, 1, 424));
    }

    #[test]
    fn data_goes_through_all_pieces() {
        let memory = memory();
        let header = header(&memory, &[(0x2000, 3), (0x3000, 3)]);
        let buffers = header.buffers(&memory, 8).unwrap();
        buffers.put(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(buffers.take(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0x3000)).unwrap(), 5);
    }

    #[test]
    fn what_is_not_memory_is_a_bus_fault() {
        let memory = memory();
        let header = header(&memory, &[(0x1fff0, 63)]);
        assert!(header.buffers(&memory, 16).is_ok());
        assert!(header.buffers(&memory, 17).is_err());
        assert_eq!(CommandHeader::read(&memory, 0x1fff0, 3), Err(BusFault));
    }
}
