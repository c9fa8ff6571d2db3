# The names that scripts can use. Generated.
from typing import Any, Callable, Iterable, Iterator

class Ds:
    """The declared datastores: ds.NAME or ds[\"NAME\"]. A store is opened when it is first asked for."""
    default: Store  # The datastore that is declared with default = true.
    def names(self) -> list:
        """The names of the declared datastores, in the order of declaration."""
    def __getattr__(self, name: str) -> Store: ...
    def __getitem__(self, name: Any) -> Store: ...

class Store:
    """An object store, such as a bucket, a container or a folder."""
    name: str  # The declared name.
    kind: str  # The kind of store, such as local or s3.
    def uri(self, path: str = "") -> str:
        """The address of a path in the store's own form, such as s3://bucket/key. It holds no secret."""
    def list(self, pattern: str = "**", since: Any | None = None, limit: int | None = None) -> Stream:
        """The objects whose paths match a pattern, in key order where the store lists so. `*` matches within a segment of the path, `**` across. The stream is lazy: nothing is listed before a loop or another consumer asks for it."""
    def stat(self, path: str, missing_ok: bool = False) -> Object:
        """The object at a path. An absent one is an error of code not_found, or None with missing_ok."""
    def exists(self, path: str) -> bool:
        """Whether there is an object at a path. Only a clear answer counts: a store that cannot be asked is an error."""
    def read(self, path: str, format: str = "auto", types: dict | None = None, columns: list[str] | None = None, header: bool = True, on_bad: str | Callable = "fail") -> Stream:
        """The rows of one object, or of all that match a pattern, one after another in the order of their paths. Nothing is read before a loop or another consumer asks for rows. When nothing matches, that is an error of code not_found."""
    def read_text(self, path: str, max: Any = 67108864) -> str:
        """The whole object as text, which must be UTF-8. It is not unpacked."""
    def read_bytes(self, path: str, max: Any = 67108864) -> bytes:
        """The whole object as bytes. It is not unpacked."""
    def read_json(self, path: str, max: Any = 67108864) -> Any:
        """The whole object as the value that its JSON stands for."""
    def read_lines(self, path: str) -> Stream:
        """The lines of one object, or of all that match a pattern, without their line ends. Compressed objects are unpacked."""
    def write(self, path: str, rows: Iterable, format: str = "auto", overwrite: bool = False, metadata: dict | None = None, content_type: str = "", if_match: str | None = None) -> Object:
        """Writes rows (or lines of text) as one object. It becomes visible when it is complete and never before: when the rows fail half-way, nothing is written and what was there stays. A stream is written as it comes, however long it is."""
    def write_text(self, path: str, text: str, overwrite: bool = False, metadata: dict | None = None, content_type: str = "", if_match: str | None = None) -> Object:
        """Writes text as one object."""
    def write_bytes(self, path: str, data: str | bytes, overwrite: bool = False, metadata: dict | None = None, content_type: str = "", if_match: str | None = None) -> Object:
        """Writes bytes as one object."""
    def write_json(self, path: str, value: Any, indent: int = 0, overwrite: bool = False, metadata: dict | None = None, content_type: str = "", if_match: str | None = None) -> Object:
        """Writes a value as JSON, with a line end after it."""
    def write_parts(self, pattern: str, rows: Iterable, by: str | Callable | None = None, max_rows: int | None = None, format: str = "auto", overwrite: bool = False, metadata: dict | None = None, content_type: str = "", if_match: str | None = None) -> list:
        """Writes rows as several objects: one for each key with by=, at most so many rows each with max_rows=, or both. In the pattern {key} stands for the key, as a segment of a path with / and the like escaped, and {n} for the number of the part, from 00000. Each object becomes visible when it is complete and never before; when the rows fail, those that were complete stay. At most 64 objects are open at once: with more keys, sort by the key first or use {n}."""
    def create(self, path: str, fn: Callable, format: str = "auto", overwrite: bool = False, metadata: dict | None = None, content_type: str = "", if_match: str | None = None) -> Object:
        """Makes an object of what a function writes: fn(w) calls w.row(dict) or w.write(text). It becomes visible when the function returns; when the function fails, nothing is written and what was there stays."""
    def copy(self, pattern: str, to: Store, prefix: str = "", overwrite: str = "never", delete_extra: bool = False, workers: int = 0, on_error: str = "fail") -> Any:
        """Copies the objects that match a pattern to another store, or elsewhere in this one, several at a time and on the servers' side where they can. Content type, encoding, disposition, cache control, user metadata and time of modification are kept. failed is a list of structs (path, code, message) and not empty only with on_error = \"collect\"; client_bytes passed through this machine."""
    def delete(self, path: str, missing_ok: bool = True) -> None:
        """Removes the object at a path."""
    def delete_all(self, pattern: str, on_error: str = "fail") -> Any:
        """Removes the objects that match a pattern. The listing is completed first: when it fails, nothing is removed. failed is a list of structs (path, code, message) and not empty only with on_error = \"collect\"."""
    def presign(self, path: str, expires: Any = "1h0m0s", method: str = "GET") -> str:
        """A URL that works without credentials for a time. Whoever has it can use it: do not log it. Stores that cannot sign say unimplemented."""

class Object:
    """One state of an object in a store."""
    path: str  # The path in the store.
    size: int  # Bytes; None when the store does not say.
    modified: Any  # When it was last written.
    etag: str  # Opaque: equal etags mean equal content in one store.
    version: str  # The version or generation, where the store has them.
    content_type: str  # The MIME type; asked of the store when a listing does not carry it.
    content_encoding: str  # Such as gzip; asked of the store when a listing does not carry it.
    metadata: dict  # The user metadata; asked of the store when a listing does not carry it.
    uri: str  # The address in the store's own form.
    store: Store  # The store that holds it.
    def read(self, format: str = "auto", types: dict | None = None, columns: list[str] | None = None, header: bool = True, on_bad: str | Callable = "fail") -> Stream:
        """The rows of the object. It is an error of code failed_precondition when the object has changed since it was listed, where the store can tell."""
    def read_text(self, max: Any = 67108864) -> str:
        """The whole object as text, which must be UTF-8. It is not unpacked."""
    def read_bytes(self, max: Any = 67108864) -> bytes:
        """The whole object as bytes. It is not unpacked."""
    def read_json(self, max: Any = 67108864) -> Any:
        """The whole object as the value that its JSON stands for."""
    def read_lines(self) -> Stream:
        """The lines of the object without their line ends. Compressed objects are unpacked."""
    def delete(self) -> None:
        """Removes the object. One that is gone already is no error."""

class Writer:
    """An object under way, as the function given to create gets it. It becomes visible when that function returns and never before."""
    path: str  # The path of the object.
    def row(self, row: Any) -> None:
        """Appends a row. The format is that of the path's suffix, or the one given to create."""
    def write(self, data: str | bytes) -> None:
        """Appends text or bytes as they are."""

class Stream:
    """A lazy sequence of rows, objects or values: nothing is read before a loop or a method such as count, collect or write asks for it, and each of them reads anew."""
    def map(self, fn: Callable) -> Stream:
        """What a function makes of each element. A returned dict, struct or row is a row of the new stream; other values make a stream of values. Returning None is an error."""
    def filter(self, fn: Callable) -> Stream:
        """The elements for which a function returns a true value."""
    def flat_map(self, fn: Callable) -> Stream:
        """All elements of the lists or streams that a function returns, one after another."""
    def select(self, *columns: Any) -> Stream:
        """Only the named columns, in the order given."""
    def drop(self, *columns: Any) -> Stream:
        """All but the named columns."""
    def rename(self, columns: dict | None = None, /, **names: Any) -> Stream:
        """Columns under other names: old = \"new\". A dict serves for names that are no words."""
    def add(self, columns: dict | None = None, /, **values: Any) -> Stream:
        """The rows with columns added or replaced: of a function of the row, or of one value for all rows. All functions see the row as it was."""
    def cast(self, columns: dict | None = None, /, *, on_bad: str = "fail", **types: Any) -> Stream:
        """Columns as another type: any, bool, int, float, string, bytes or time. A cell that does not fit is an error of code bad_row, or None with on_bad = \"null\". A column that is itself named on_bad goes into the dict."""
    def take(self, n: int) -> Stream:
        """The first n elements. Nothing beyond them is read."""
    def skip(self, n: int) -> Stream:
        """All but the first n elements."""
    def batch(self, n: int) -> Stream:
        """Lists of n elements; the last may be shorter."""
    def enumerate(self, start: int = 0) -> Stream:
        """Pairs of a number and an element."""
    def distinct(self, *columns: Any) -> Stream:
        """The first element of those that are equal, or equal in the named columns. What was seen is held in memory: more than half of the memory limit is an error of code limit."""
    def sort(self, by: str | list | Callable | None = None, desc: bool = False) -> Stream:
        """The elements in ascending order of columns, of what a function returns, or of themselves. Equal ones keep their order; None comes first, and last with desc. All are held in memory: more than half of the memory limit is an error of code limit."""
    def join(self, other: Iterable, on: str | list | dict, how: str = "inner") -> Stream:
        """Each row with each row of another stream that is equal to it in the columns on; None equals nothing. The other stream is held in memory: let it be the smaller one; more than half of the memory limit is an error of code limit. A column of the other stream whose name is taken gets the suffix _right."""
    def concat(self, *others: Any) -> Stream:
        """The elements of this stream and then those of others."""
    def group(self, key: str | list | Callable, /, **aggs: Any) -> Stream:
        """One row for each value of the key, in order of first appearance, with the key's columns and the aggregates. The key is a column, a list of columns, or a function, whose result is the column key (an element that is no row is the column value). The groups are held in memory: more than half of the memory limit is an error of code limit."""
    def stats(self, *columns: Any) -> Stream:
        """One row for each column (or each named one): its type, how many values and nulls it has, the least and greatest value, the mean of numbers, and about how many distinct values."""
    def count(self) -> int:
        """How many elements there are. The stream is read to its end."""
    def first(self, default: Any | None = None) -> Any:
        """The first element, or the default when there is none. Nothing more is read than is needed for it."""
    def collect(self, limit: int = 100000) -> list:
        """All elements as a list. More than the limit are an error of code limit, so that a stream that is larger than expected does not fill the memory."""
    def each(self, fn: Callable) -> int:
        """Calls a function with each element for its effect and returns how many there were."""
    def reduce(self, fn: Callable, initial: Any) -> Any:
        """What a function makes of the result so far and each element in turn, beginning with the initial value."""
    def show(self, n: int = 20) -> None:
        """Prints the first elements as a table, at most 120 columns wide. Only as much is read as is shown."""
    def __iter__(self) -> Iterator[Any]: ...

class Row:
    """A row of a table: r.col and r[\"col\"] are its cells. It never changes."""
    def get(self, column: str, default: Any | None = None) -> Any:
        """The cell of a column, or the default when the row has no such column."""
    def keys(self) -> list:
        """The names of the columns."""
    def values(self) -> list:
        """The cells, in the order of the columns."""
    def to_dict(self) -> dict:
        """The row as a new dict."""
    def __getattr__(self, name: str) -> Any: ...
    def __getitem__(self, name: Any) -> Any: ...

class Topics:
    """The declared topics: topics.NAME or topics[\"NAME\"]. A topic is opened when it is first asked for."""
    default: Topic  # The topic that is declared with default = true.
    def names(self) -> list:
        """The names of the declared topics, in the order of declaration."""
    def __getattr__(self, name: str) -> Topic: ...
    def __getitem__(self, name: Any) -> Topic: ...

class Topic:
    """An event topic."""
    name: str  # The declared name.
    kind: str  # The kind of topic, such as file or eventbridge.
    def publish(self, type: str, data: Any | None = None, subject: str = "", id: str | None = None, time: Any | None = None, attributes: dict | None = None) -> str:
        """Publishes an event, in the terms of CloudEvents, and returns its id once the bus has accepted it. The id is made of the run, the topic and the place in the script, so that another run with the same --run-id publishes the same ids."""
    def publish_all(self, stream: Iterable, *, type: str | Callable, subject: str | Callable | None = None, id: Callable | None = None, on_error: str | Callable = "fail") -> int:
        """Publishes an event for each element of a stream, packed into batches and in bounded memory, and returns how many the bus has accepted. The element is the event's data."""

class Error:
    """What catch returns for a failure."""
    code: str  # The class of the failure, such as "not_found".
    message: str  # What happened.
    retryable: bool  # Whether the same call can succeed later.
    op: str  # The operation that failed, or None.
    store: str  # The datastore or topic that it failed on, or None.
    path: str  # The object that it failed on, or None.
    hint: str  # What can be done about it, or None.

class Match:
    """A match of a regular expression. m[0] is its text, m[1] the first group, m[\"name\"] a named group; None for a group that took no part."""
    text: str  # The text that matched.
    start: int  # Where it begins, in bytes.
    end: int  # Where it ends.
    groups: tuple  # The texts of the groups.
    named: dict  # The texts of the named groups.
    def __getattr__(self, name: str) -> Any: ...
    def __getitem__(self, name: Any) -> Any: ...

class Run:
    """What is known of the current run."""
    id: str  # The id of the run; the same id makes the same event ids.
    env: str  # The name given with --env, or "".
    script: str  # The path of the script.
    started: Any  # When the run began.
    dry_run: bool  # Whether nothing is really written or published.

ds: Ds

topics: Topics

class _StreamModule:
    """Streams of a script's own making."""
    def of(self, iterable: Iterable) -> Stream:
        """A stream of the elements of a list or another iterable. Dicts and structs become rows; then all elements must be rows."""
    def concat(self, *streams: Any) -> Stream:
        """The elements of streams or lists, one after another."""

stream: _StreamModule

class _AggModule:
    """What group() makes of the rows that have the same key. Cells that are None do not count."""
    def count(self) -> Any:
        """The number of rows of the group."""
    def sum(self, column: str) -> Any:
        """The sum of a column of numbers."""
    def mean(self, column: str) -> Any:
        """The mean of a column of numbers; None where there is none."""
    def min(self, column: str) -> Any:
        """The least value of a column."""
    def max(self, column: str) -> Any:
        """The greatest value of a column."""
    def distinct(self, column: str) -> Any:
        """How many different values a column has."""

agg: _AggModule

run: Run

class _LogModule:
    """Messages for whoever runs the script, on standard error and apart from what print() writes."""
    def debug(self, msg: Any, /, **fields: Any) -> None:
        """Logs a message that is of use when something is looked into; shown with --log-level debug."""
    def info(self, msg: Any, /, **fields: Any) -> None:
        """Logs a message about the ordinary course of things."""
    def warn(self, msg: Any, /, **fields: Any) -> None:
        """Logs a message about something that may need attention."""
    def error(self, msg: Any, /, **fields: Any) -> None:
        """Logs a message about something that went wrong while the script goes on."""

log: _LogModule

class _ParallelModule:
    """Work on several items at a time."""
    def map(self, fn: Callable, items: Iterable, workers: int = 8, on_error: str = "fail") -> list:
        """Calls fn with each item, several at a time, and returns the results in the order of the items. The function, the globals it sees and the items become immutable. With on_error=\"fail\" the first failure ends the others and is raised; with \"collect\" a failed item's result is its error, as catch returns it."""
    def each(self, fn: Callable, items: Iterable, workers: int = 8, on_error: str = "fail") -> list:
        """Calls fn with each item as parallel.map does, for what it does instead of what it returns. The result is the list of errors, empty unless on_error is \"collect\"."""

parallel: _ParallelModule

def catch(fn: Callable, /, *args: Any, **kwargs: Any) -> Any:
    """Calls fn and returns its result and None, or None and the error when it fails. Interrupts and limits of the run are not caught."""

def fail(*args: Any, sep: str = " ") -> None:
    """Ends the script with a message, or the innermost catch with an error of code \"fail\". An error that catch returned is passed on as it is when it is the only argument."""

def struct(**fields: Any) -> Any:
    """Makes an immutable value with the given fields."""

def fmt(template: str, /, *args: Any, **kwargs: Any) -> str:
    """Fills the fields {} of a template, in the manner of Python's str.format: {:>8} aligns, {:08.2f} gives digits and decimals, {:,} groups, {:%} is a percentage, {:x} hexadecimal, {0} and {name} choose the argument, {!r} shows it as repr does. {{ and }} are braces."""

class _JsonModule:
    """JSON texts."""
    def encode(self, x: Any, indent: str = "") -> str:
        """A value as JSON. Dicts, rows and structs become objects in their own order, lists, tuples and streams arrays, times RFC 3339 strings."""
    def decode(self, text: str | bytes, default: Any | None = None) -> Any:
        """The value that a JSON text holds. Objects become dicts in their own order; numbers with a point or an exponent become floats."""
    def indent(self, text: str | bytes, indent: str = "  ") -> str:
        """A JSON text with one element a line."""

json: _JsonModule

class _CsvModule:
    """Small texts of comma-separated values. Objects are read as rows with ds.NAME.read."""
    def parse(self, text: str, sep: str = ",", header: bool = True) -> list | list:
        """The records of a text: dicts by the names of the first record, or lists without a header. Cells are strings."""
    def format(self, rows: Iterable, sep: str = ",", columns: list[str] | None = None) -> str:
        """Records as text: dicts get a header line of the first one's keys, lists get none. None is an empty cell."""

csv: _CsvModule

class _ReModule:
    """Regular expressions in RE2 syntax, which match in linear time: no backreferences, no lookaround."""
    def match(self, pattern: str, text: str) -> Match | None:
        """The match of a pattern at the beginning of a text, or None."""
    def fullmatch(self, pattern: str, text: str) -> Match | None:
        """The match of a pattern with a whole text, or None."""
    def search(self, pattern: str, text: str) -> Match | None:
        """The first match of a pattern in a text, or None."""
    def findall(self, pattern: str, text: str) -> list:
        """All matches of a pattern: texts, or tuples of the groups' texts when it has two groups or more, or the group's text when it has one."""
    def sub(self, pattern: str, repl: str | Callable, text: str, count: int = 0) -> str:
        """A text with the matches of a pattern replaced: by a text, in which \\1 and \\g<name> are groups, or by what a function of the match returns."""
    def split(self, pattern: str, text: str, maxsplit: int = 0) -> list:
        """The parts of a text between the matches of a pattern."""
    def escape(self, text: str) -> str:
        """A pattern that matches a text as it is."""

re: _ReModule

class _TimeModule:
    """Points in time and lengths of time. A time has .year .month .day .hour .minute .second .nanosecond .unix and .format(), a duration .hours .minutes .seconds; they can be compared, added and subtracted."""
    nanosecond: Any  # One nanosecond.
    microsecond: Any  # One microsecond.
    millisecond: Any  # One millisecond.
    second: Any  # One second.
    minute: Any  # One minute.
    hour: Any  # One hour.
    day: Any  # 24 hours.
    def now(self) -> Any:
        """The current time, in UTC."""
    def parse(self, text: str, format: str | None = None, location: str = "UTC") -> Any:
        """The time that a text means. Without a format RFC 3339 and ISO 8601 dates are understood."""
    def format(self, t: Any, format: str = "2006-01-02T15:04:05.999999999Z07:00") -> str:
        """A time as text."""
    def from_unix(self, seconds: int | float) -> Any:
        """The time a number of seconds after the beginning of 1970, in UTC."""
    def time(self, year: int, month: int = 1, day: int = 1, hour: int = 0, minute: int = 0, second: int = 0, nanosecond: int = 0, location: str = "UTC") -> Any:
        """The time of a date and a time of day."""
    def duration(self, text: Any) -> Any:
        """The length of time that a text means: \"90s\", \"1h30m\", \"7d\"."""
    def since(self, t: Any) -> Any:
        """The time that has passed since t."""
    def sleep(self, d: Any) -> None:
        """Waits. An interrupt or the time limit of the run ends it early."""

time: _TimeModule

class _MathModule:
    """Numbers."""
    pi: Any  # The ratio of a circle's circumference to its diameter.
    e: Any  # The base of natural logarithms.
    inf: Any  # Infinity.
    nan: Any  # Not a number.
    def ceil(self, x: int | float) -> int:
        """The smallest whole number that is not less than x."""
    def floor(self, x: int | float) -> int:
        """The largest whole number that is not greater than x."""
    def round(self, x: float, decimals: int | None = None) -> int | float:
        """Rounds x to a number of decimals, halves to the even neighbour as Python does. Without decimals the result is an int."""
    def sum(self, numbers: Iterable) -> int | float:
        """Adds the numbers of a list or stream. Sums of ints are exact."""
    def pow(self, x: float, y: float) -> float:
        """The power y of x, as a float."""
    def mod(self, x: float, y: float) -> float:
        """The remainder of x divided by y, with the sign of x."""
    def hypot(self, x: float, y: float) -> float:
        """The length of the vector (x, y)."""
    def atan2(self, y: float, x: float) -> float:
        """The angle of the vector (x, y) in radians."""
    def sqrt(self, x: float) -> float:
        """The square root of x."""
    def exp(self, x: float) -> float:
        """e raised to the power x."""
    def log(self, x: float, base: float | None = None) -> float:
        """The logarithm of x, natural without a base."""
    def sin(self, x: float) -> float:
        """The sine of x radians."""
    def cos(self, x: float) -> float:
        """The cosine of x radians."""
    def tan(self, x: float) -> float:
        """The tangent of x radians."""
    def asin(self, x: float) -> float:
        """The arc sine of x in radians."""
    def acos(self, x: float) -> float:
        """The arc cosine of x in radians."""
    def atan(self, x: float) -> float:
        """The arc tangent of x in radians."""
    def degrees(self, x: float) -> float:
        """Radians as degrees."""
    def radians(self, x: float) -> float:
        """Degrees as radians."""
    def isnan(self, x: float) -> bool:
        """Reports whether x is not a number."""
    def isfinite(self, x: float) -> bool:
        """Reports whether x is neither infinite nor NaN."""

math: _MathModule

class _PathModule:
    """Object names and paths, which are written with /."""
    def join(self, *parts: Any) -> str:
        """Joins parts with one / between them. Empty parts are left out; .. and . are kept as they are."""
    def base(self, path: str) -> str:
        """The last part of a path: the name without its folders."""
    def dir(self, path: str) -> str:
        """The folders of a path without the last part; \"\" when there are none."""
    def ext(self, path: str) -> str:
        """The suffix of the name with its dot, or \"\"."""
    def stem(self, path: str) -> str:
        """The name without its folders and without its suffix."""
    def match(self, pattern: str, name: str) -> bool:
        """Reports whether a path matches a glob: * within a part, ** over parts, ? one character, [abc], {a,b}."""

path: _PathModule

class _HumanModule:
    """Sizes, counts and durations as people read and write them."""
    def bytes(self, n: int) -> str:
        """A number of bytes in units of 1024."""
    def count(self, n: int) -> str:
        """A whole number with commas between groups of three digits."""
    def duration(self, d: Any) -> str:
        """A length of time, given in seconds or as a duration, in its two or three largest units."""
    def parse_bytes(self, size: str) -> int:
        """The number of bytes that a size means: units with an i are powers of 1024, others of 1000."""

human: _HumanModule

class _HashModule:
    """Checksums of strings and bytes, in lower-case hexadecimal."""
    def md5(self, data: str | bytes) -> str:
        """The MD5 of data: for comparing with what others computed, not against forgery."""
    def sha1(self, data: str | bytes) -> str:
        """The SHA-1 of data: for comparing with what others computed, not against forgery."""
    def sha256(self, data: str | bytes) -> str:
        """The SHA-256 of data."""
    def sha512(self, data: str | bytes) -> str:
        """The SHA-512 of data."""
    def crc32(self, data: str | bytes) -> str:
        """The CRC-32 (IEEE, as in gzip and zip) of data."""
    def crc32c(self, data: str | bytes) -> str:
        """The CRC-32C (Castagnoli, as object stores use it) of data."""
    def xxh64(self, data: str | bytes) -> str:
        """The XXH64 of data: fast, for sharding and deduplication."""

hash: _HashModule

class _Base64Module:
    """Binary data as text."""
    def encode(self, data: str | bytes, url: bool = False, padding: bool = True) -> str:
        """Encodes a string or bytes in base64."""
    def decode(self, text: str) -> bytes:
        """Decodes base64 of either alphabet, with or without padding; white space is skipped."""

base64: _Base64Module

def help(x: Any | None = None, /) -> None:
    """Prints what is known of a function, module or value; of everything without an argument."""

class _AssertModule:
    """For test files only: checks that end the test when they do not hold. A row equals a dict of the same cells."""
    def eq(self, got: Any, want: Any, msg: str = "") -> None:
        """Fails unless both values are equal, and shows both, and where they first differ."""
    def ne(self, x: Any, y: Any, msg: str = "") -> None:
        """Fails when both values are equal."""
    def true(self, x: Any, msg: str = "") -> None:
        """Fails unless the value is true or counts as true."""
    def false(self, x: Any, msg: str = "") -> None:
        """Fails when the value is true or counts as true."""
    def contains(self, whole: Any, part: Any, msg: str = "") -> None:
        """Fails unless a text has a part, a dict a key, or a list, set or stream an element."""
    def lt(self, x: Any, y: Any, msg: str = "") -> None:
        """Fails unless x is less than y."""
    def le(self, x: Any, y: Any, msg: str = "") -> None:
        """Fails unless x is less than or equal to y."""
    def gt(self, x: Any, y: Any, msg: str = "") -> None:
        """Fails unless x is greater than y."""
    def ge(self, x: Any, y: Any, msg: str = "") -> None:
        """Fails unless x is greater than or equal to y."""
    def near(self, got: float, want: float, tolerance: float = 1e-09, msg: str = "") -> None:
        """Fails unless two numbers differ by no more than a tolerance."""
    def fails(self, fn: Callable, pattern: str = "", code: str = "", msg: str = "") -> Error:
        """Calls fn and fails unless that fails. The error is returned, as catch returns it. Limits of the run are not caught."""

# assert: _AssertModule

class _TestModule:
    """For test files only: what a test puts in and looks at. Each test begins with empty datastores in memory and topics that record."""
    def fixture(self, store: str, path: str, prefix: str = "") -> int:
        """Puts files into a datastore, also one that scripts may only read, and returns how many."""
    def put(self, store: str, path: str, content: str | bytes) -> None:
        """Puts one object into a datastore, also one that scripts may only read."""
    def now(self, time: Any) -> None:
        """Sets the time that the test and its scripts see: time.now(), run.started, the times of events and of written objects. It stands still, except that time.sleep moves it on at once."""
    def run(self, script: str, /, **args: Any) -> Any:
        """Runs a script as `dsrun run` does, with the datastores and topics of the test, and returns a struct whose field output is what it printed. A script that fails fails the test, unless assert.fails or catch calls it."""
    def events(self, topic: str) -> list:
        """The events that were published to a topic so far, in order: structs with the fields id, type, source, subject, time, data and attributes."""
    def golden(self, path: str, got: Any) -> None:
        """Fails unless a file holds a value: a text or bytes as they are, anything else as indented JSON. `dsrun test --update` writes the file instead. Ids of events are the same in every run of a test, times with test.now."""

test: _TestModule

