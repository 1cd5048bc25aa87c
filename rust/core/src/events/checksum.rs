//! The checksum of event files.

/// The polynomial of CRC-32C (Castagnoli), its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLES[k][byte]`: what a byte with `k` bytes behind it adds to the remainder.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "below 256, and `try_from` is not const"
        )]
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (POLYNOMIAL * (sum & 1));
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let sum = tables[k - 1][byte];
            tables[k][byte] = (sum >> 8) ^ tables[0][(sum & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// The masked CRC-32C of `bytes`, eight of them at a time.
pub fn masked(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut sum = !0_u32;
    for word in words {
        let low = sum.to_le_bytes();
        sum = (0..8).fold(0, |next, i| {
            let byte = word[i] ^ low.get(i).unwrap_or(&0);
            next ^ TABLES[7 - i][usize::from(byte)]
        });
    }
    for byte in rest {
        sum = (sum >> 8) ^ TABLES[0][usize::from(sum.to_le_bytes()[0] ^ byte)];
    }
    // A file may hold checksums as data: the mask keeps a checksum of those from being degenerate.
    (!sum).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::masked;

    /// Undo the mask.
    fn crc(bytes: &[u8]) -> u32 {
        masked(bytes).wrapping_sub(0xa282_ead8).rotate_left(15)
    }

    #[test]
    fn checksums_match_the_published_examples() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc(&std::array::from_fn::<u8, 32, _>(|i| i.to_le_bytes()[0])), 0x46dd_794e);
        // The check value of CRC-32C in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc(b"123456789"), 0xe306_9283);
        assert_eq!(crc(b""), 0);
    }
}
