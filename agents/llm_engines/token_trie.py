"""Which tokens may come next where a reply follows a grammar: a trie over each line's choices."""

from collections.abc import Callable
from dataclasses import dataclass, field

from conductor_gym.language.grammar import Grammar


@dataclass(eq=False)
class _Node:
    """A place in the trie; `line` where a choice is complete there."""

    then: dict[int, "_Node"] = field(default_factory=dict[int, "_Node"])
    line: str | None = None


class Tries:
    """Tries by the choices they hold, for one tokenizer.

    Args:
        encode: Tokens of a text, without marks.
        end: Token that ends a reply.
    """

    KEPT = 4096

    def __init__(self, encode: Callable[[str], list[int]], end: int) -> None:
        self.end = end
        self.newline = encode("\n")
        self._encode = encode
        self._tokens: dict[str, list[int]] = {}
        self._tries: dict[tuple[str, ...], _Node] = {}

    def trie(self, choices: tuple[str, ...]) -> _Node:
        """The trie of the lines that are not empty."""
        found = self._tries.get(choices)
        if found is None:
            if len(self._tries) >= self.KEPT:
                self._tries.clear()
            found = self._tries[choices] = _Node()
            for line in choices:
                if line:
                    self._add(found, line)
        return found

    def _add(self, root: _Node, line: str) -> None:
        tokens = self._tokens.get(line)
        if tokens is None:
            tokens = self._tokens[line] = self._encode(line)
        node = root
        for token in tokens:
            node = node.then.setdefault(token, _Node())
        node.line = line


class Walk:
    """One reply on its way through a grammar.

    Args:
        tries: Of the tokenizer.
        grammar: What the reply may consist of.

    Attributes:
        lines: Those that are complete.
        tokens: Said so far, the end's included.
        done: Whether the reply has ended.
    """

    def __init__(self, tries: Tries, grammar: Grammar) -> None:
        self.lines: tuple[str, ...] = ()
        self.tokens: list[int] = []
        self.done = False
        self._tries = tries
        self._grammar = grammar
        self._between: list[int] = []  # the rest of a newline of several tokens
        self._node, self._may_end = self._next_line()

    def allowed(self) -> list[int]:
        """Tokens that may come next, one at least."""
        if self._between:
            return self._between[:1]
        tokens = list(self._node.then)
        if self._may_end:
            tokens.append(self._tries.end)
        if self._node.line is not None:
            following = self._grammar.choices((*self.lines, self._node.line))
            if "" in following:
                tokens.append(self._tries.end)
            if any(following):
                tokens.append(self._tries.newline[0])
        return tokens

    def push(self, token: int) -> list[int]:
        """Say a token, and those that can only follow it.

        Args:
            token: One of the allowed ones.

        Returns:
            Tokens that the model has to read before it chooses again; none once it is done.
        """
        told: list[int] = []
        while True:
            self._say(token)
            if self.done:
                return []
            told.append(token)
            allowed = self.allowed()
            if len(allowed) > 1:
                return told
            token = allowed[0]

    def _say(self, token: int) -> None:
        self.tokens.append(token)
        if self._between:
            self._between = self._between[1:]
        elif token in self._node.then:
            self._node, self._may_end = self._node.then[token], False
        else:
            if self._node.line is not None:
                self.lines = (*self.lines, self._node.line)
            if token == self._tries.end:
                self.done = True
                return
            self._between = self._tries.newline[1:]
            self._node, self._may_end = self._next_line()

    def _next_line(self) -> tuple[_Node, bool]:
        choices = self._grammar.choices(self.lines)
        # An empty line ends the reply before its newline, so after one there is always a line.
        return self._tries.trie(choices), not self.lines and "" in choices
