//! LexoRank strings as Jira writes them (`0|i0007x:`): compared bytewise, spaced so that moves fit between.

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The rank of a position; positions are spread by the caller.
pub(crate) fn lexo_rank(position: i64) -> String {
    let mut left = position.max(0) as u64;
    let mut digits = [b'0'; 6];
    for slot in digits.iter_mut().rev() {
        *slot = DIGITS[(left % 36) as usize];
        left /= 36;
    }
    let mut rank = String::from("0|");
    rank.extend(digits.iter().map(|digit| char::from(*digit)));
    rank.push(':');
    rank
}

#[cfg(test)]
mod tests {
    use super::lexo_rank;

    #[test]
    fn sorts_like_its_position() {
        assert_eq!(lexo_rank(0), "0|000000:");
        let ranks: Vec<_> = (0..2000).map(|n| lexo_rank(n * 97)).collect();
        assert!(ranks.is_sorted());
    }
}
