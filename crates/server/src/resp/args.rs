//! The words of a request: the command's name and what follows it.

/// Where a word stands: its start and its length, in bytes.
pub(super) type Range = (u32, u32);

/// The words of a request, borrowed from the bytes that came in.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    ranges: &'a [Range],
}

impl<'a> Args<'a> {
    pub(super) fn new(bytes: &'a [u8], ranges: &'a [Range]) -> Args<'a> {
        Args { bytes, ranges }
    }

    /// How many words, the command's name among them.
    #[inline]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Word `number`; none past the last.
    #[inline]
    pub fn get(&self, number: usize) -> Option<&'a [u8]> {
        let (start, length) = *self.ranges.get(number)?;
        self.bytes.get(start as usize..start as usize + length as usize)
    }

    /// All words.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + use<'a> {
        let bytes = self.bytes;
        self.ranges
            .iter()
            .map(move |(start, length)| &bytes[*start as usize..*start as usize + *length as usize])
    }

    /// The words from `number` on.
    pub fn from(&self, number: usize) -> Args<'a> {
        Args { bytes: self.bytes, ranges: &self.ranges[number.min(self.ranges.len())..] }
    }

    /// Whether word `number` is `word`, which is given in upper case.
    pub fn is(&self, number: usize, word: &str) -> bool {
        self.get(number).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Bytes of all words.
    pub fn bytes(&self) -> usize {
        self.ranges.iter().map(|(_, length)| *length as usize).sum()
    }
}

impl std::ops::Index<usize> for Args<'_> {
    type Output = [u8];

    /// # Panics
    /// Past the last word: for words whose presence the command's arity proves.
    #[inline]
    fn index(&self, number: usize) -> &[u8] {
        self.get(number).expect("the arity of the command was checked")
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|word| word.escape_ascii().to_string())).finish()
    }
}

/// A request that outlives the bytes it came in, as between `MULTI` and `EXEC`.
#[derive(Clone, Default)]
pub struct OwnedRequest {
    bytes: Vec<u8>,
    ranges: Vec<Range>,
}

impl OwnedRequest {
    /// A copy of `args`.
    pub fn copy(args: Args<'_>) -> OwnedRequest {
        OwnedRequest::of(args.iter())
    }

    /// A request of these words.
    pub fn of<'w>(words: impl IntoIterator<Item = &'w [u8]>) -> OwnedRequest {
        let mut request = OwnedRequest::default();
        for word in words {
            request.ranges.push((request.bytes.len() as u32, word.len() as u32));
            request.bytes.extend_from_slice(word);
        }
        request
    }

    /// Its words.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.ranges)
    }

    /// Memory it takes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.ranges.capacity() * size_of::<Range>()
    }
}

impl crate::command::keys::Arguments for Args<'_> {
    fn count(&self) -> usize {
        self.len()
    }

    fn argument(&self, index: usize) -> &[u8] {
        &self[index]
    }
}
