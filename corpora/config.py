"""What a recipe makes of which cards, and how clean it is to be: the section [corpus]."""

from dataclasses import dataclass, field

from corpora.spelling.noise import NoiseConfig

ADDED = {"added": True}
"""Marks a setting that came later: at its default nothing changes, and what is there stays fresh (the same of
`pipeline.run.key`, which nothing here may import)."""


@dataclass(frozen=True)
class CorpusConfig:
    """The section [corpus] of a recipe."""

    general: tuple[str, ...] = ()
    """Cards of everyday text, each `card` or `card:split+split`; without splits, `unlabeled` or else all."""
    domain: tuple[str, ...] = ()
    """Cards of the text to adapt to."""
    task: str = ""
    """Card of the labelled corpus to adapt to and to be measured on."""
    task_text: tuple[str, ...] = ()
    """Columns of the task's files that make its text, one below the other, instead of what its card says: to see which
    fields help."""
    task_text_pair: tuple[str, ...] = ()
    """The same of its second text."""
    task_templates: float = field(default=0.0, metadata=ADDED)
    """Sentences that stand in at least this share of the task's training rows are taken out of its text: templates of
    the page they come from; 0 = none are. 0.02 to begin with."""
    beside: tuple[str, ...] = field(default=(), metadata=ADDED)
    """Cards of labelled corpora that `make finetuned-multitask` learns beside the task."""
    elsewhere: tuple[str, ...] = field(default=(), metadata=ADDED)
    """Cards with the task's labels from another source, whose test rows every fine-tuned model is tested on as well:
    does what was learned hold there?"""
    language: str = "zh"
    """Language of all of these; decides how text is cut into words."""
    task_train_rows: int = 0
    """Task documents to train on, a fixed sample in which a smaller one is contained; 0 takes all."""
    drop_near_duplicates: bool = field(default=False, metadata=ADDED)
    """Drop documents of domain and general text that share about 0.7 of their runs of five characters, or words, with
    one before (MinHash); preview.md shows pairs. Off, as templated text may fall together that is no copy."""
    drop_other_languages: bool = field(default=False, metadata=ADDED)
    """Drop documents of domain and general text that are beyond doubt in another language than `language`; short ones
    stay. Off: a corpus may quote, and be meant to; preview.md shows examples with their languages."""
    strip_markup: bool = field(default=False, metadata=ADDED)
    """Read HTML in any text as a browser shows it: no tags, scripts and styles, entities as what they stand for."""
    mask_private: bool = field(default=False, metadata=ADDED)
    """Put zeros in the place of telephone and identity numbers, and one address in that of e-mails, in any text."""
    simplify: bool = field(default=False, metadata=ADDED)
    """Make traditional Chinese characters simplified ones in any text (OpenCC's t2s): for a base that learned from
    those. Tagged text and pairs of spelling are converted character by character, so that they stay aligned."""
    repeated_lines: int = field(default=0, metadata=ADDED)
    """Lines that stand in at least so many documents of one card are taken out of domain and general text: navigation,
    advertisements, paragraphs; 0 = none are. 10 to begin with."""
    quality_rules: bool = field(default=False, metadata=ADDED)
    """Drop documents of domain and general text that repeat themselves or are no running text (Gopher's rules, with
    thresholds for Chinese). Off: each has some good text against it; preview.md counts, rejected/ shows what."""
    decontaminate: bool = True
    """Drop documents of domain and general text that share 24 characters, or 13 words, on end with dev or test of any
    labelled corpus; those that are there as a whole are dropped in any case."""
    min_chars: int = 2
    """Shorter documents are dropped; white space does not count."""
    max_chars: int = field(default=0, metadata=ADDED)
    """Longer documents of domain and general text are cut at ends of sentences into pieces of at most so many
    characters, all of one split; 0 = none are, as masking cuts every document to sequences anyway. For books: 10,000,
    so that duplicates, text of the test and what is like the task are looked for in parts of them."""
    dev_share: float = 0.02
    """Share of the general and domain documents held back, to see that pretraining helps text it has not seen."""
    dev_documents: int = 1000
    """At most so many are held back."""
    shard_rows: int = 5000
    """Documents a shard: what one process takes at a time in the stages after this."""
    seed: int = 0
    """Another seed, another sample of `task_train_rows`."""
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    """Correct text made wrong, to learn its correction: pairs added to the task's train, or a task of their own."""

    def __post_init__(self) -> None:
        if not 0 <= self.dev_share < 1:
            raise ValueError(f"dev_share = {self.dev_share} must be at least 0 and less than 1")
        if self.shard_rows < 1 or min(self.task_train_rows, self.min_chars, self.dev_documents) < 0:
            raise ValueError("shard_rows must be at least 1; task_train_rows, min_chars, dev_documents at least 0")
        if self.repeated_lines < 0 or self.repeated_lines == 1:
            raise ValueError(f"repeated_lines = {self.repeated_lines}: 0 for none, or at least 2 documents")
        if 0 < self.max_chars < 100 or self.max_chars < 0:
            raise ValueError(f"max_chars = {self.max_chars}: 0 for no limit, or at least 100 characters")
        if not 0 <= self.task_templates <= 1:
            raise ValueError(f"task_templates = {self.task_templates} is a share of rows: 0 to 1")
        if (self.beside or self.elsewhere or self.task_templates) and not self.task:
            raise ValueError("beside, elsewhere and task_templates are about a task: set task")
