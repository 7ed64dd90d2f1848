//! Compressed clusters: raw deflate streams, anywhere in the file. They are only read; what is written to them
//! becomes an ordinary cluster.

use std::io;
use std::sync::Arc;

use flate2::{Decompress, FlushDecompress, Status};
use parking_lot::Mutex;

use super::super::host_file::HostFile;
use super::entry::Compressed;
use super::geometry::Geometry;
use super::l2::damaged;

/// Memory for clusters that were decompressed last.
const CACHE_BYTES: u64 = 2 << 20;

/// The last clusters, the most recent at the end.
#[derive(Debug, Default)]
pub(super) struct CompressedClusters {
    recent: Mutex<Vec<(Compressed, Arc<[u8]>)>>,
}

impl CompressedClusters {
    /// The content of a compressed cluster.
    ///
    /// # Errors
    /// `InvalidData` if it doesn't give exactly one cluster; what the host says.
    pub(super) fn read(&self, place: Compressed, geometry: &Geometry, file: &HostFile) -> io::Result<Arc<[u8]>> {
        {
            let mut recent = self.recent.lock();
            if let Some(index) = recent.iter().position(|(other, _)| *other == place) {
                let found = recent.remove(index);
                let content = found.1.clone();
                recent.push(found);
                return Ok(content);
            }
        }
        let content: Arc<[u8]> = decompress(place, geometry, file)?.into();
        let mut recent = self.recent.lock();
        let capacity = (CACHE_BYTES >> geometry.cluster_bits).max(1) as usize;
        if recent.len() >= capacity {
            recent.remove(0);
        }
        recent.push((place, content.clone()));
        Ok(content)
    }
}

fn decompress(place: Compressed, geometry: &Geometry, file: &HostFile) -> io::Result<Vec<u8>> {
    // The last sector may be cut off by the end of the file
    let available = file.len().saturating_sub(place.host).min(u64::from(place.len));
    let mut packed = vec![0; available as usize];
    file.read_bytes(&mut packed, place.host)?;
    let mut content = vec![0; geometry.cluster_size() as usize];
    let mut stream = Decompress::new(false);
    let status = stream.decompress(&packed, &mut content, FlushDecompress::Finish);
    let complete = stream.total_out() == geometry.cluster_size();
    match status {
        Ok(Status::StreamEnd | Status::Ok | Status::BufError) if complete => Ok(content),
        _ => Err(damaged(format!("the compressed cluster at offset {} can't be unpacked", place.host))),
    }
}
