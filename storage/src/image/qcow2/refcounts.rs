//! One block of reference counts: how often each cluster of a part of the file is used.

/// The counts of as many clusters as one cluster holds counts for.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    order: u32,
}

impl Block {
    pub(super) fn new(bytes: Vec<u8>, order: u32) -> Self {
        Block { bytes, order }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        (self.bytes.len() * 8) >> self.order
    }

    /// The byte where the count of `index` begins.
    pub(super) fn byte_of(&self, index: usize) -> usize {
        (index << self.order) / 8
    }

    pub(super) fn get(&self, index: usize) -> u64 {
        let at = self.byte_of(index);
        if self.order < 3 {
            return u64::from(self.bytes[at] >> self.shift(index)) & self.mask();
        }
        let width = 1 << (self.order - 3);
        self.bytes[at..at + width].iter().fold(0, |count, byte| count << 8 | u64::from(*byte))
    }

    pub(super) fn set(&mut self, index: usize, count: u64) {
        let at = self.byte_of(index);
        if self.order < 3 {
            let (shift, mask) = (self.shift(index), self.mask());
            self.bytes[at] = self.bytes[at] & !((mask as u8) << shift) | ((count & mask) as u8) << shift;
            return;
        }
        let width = 1 << (self.order - 3);
        self.bytes[at..at + width].copy_from_slice(&count.to_be_bytes()[8 - width..]);
    }

    /// The first unused cluster from `index` on.
    pub(super) fn find_unused(&self, index: usize) -> Option<usize> {
        (index..self.len()).find(|index| self.get(*index) == 0)
    }

    /// Counts of less than a byte: the lowest bits belong to the first.
    fn shift(&self, index: usize) -> u32 {
        ((index << self.order) % 8) as u32
    }

    fn mask(&self) -> u64 {
        (1 << (1 << self.order)) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_every_width_are_kept_apart() {
        for order in 0..=6 {
            let mut block = Block::new(vec![0; 512], order);
            let most = u64::MAX >> (64 - (1_u32 << order));
            assert_eq!(block.len(), 4096 >> order);
            for index in (0..block.len()).step_by(3) {
                block.set(index, most);
            }
            let expected = |index: usize| if index.is_multiple_of(3) { most } else { 0 };
            assert!((0..block.len()).all(|index| block.get(index) == expected(index)));
            assert_eq!(block.find_unused(0), Some(1));
            assert_eq!(block.find_unused(3), Some(4));
        }
    }

    #[test]
    fn sixteen_bit_counts_are_big_endian() {
        let mut block = Block::new(vec![0; 512], 4);
        block.set(1, 0x1234);
        assert_eq!(block.bytes()[..4], [0, 0, 0x12, 0x34]);
    }
}
