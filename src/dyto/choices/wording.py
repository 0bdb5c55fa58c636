"""Words around an answer that announce, deny or correct a letter, in several languages."""

from __future__ import annotations

import re

from dyto.choices.cleaning import TAGGED, WORD


def _words(words: str) -> str:
    """Return a pattern that matches any of some whole words."""
    return rf"(?<![{WORD}])(?:{words})(?![{WORD}])"


_NEGATION = _words(r"not|[a-z]{2,7}n't|never|neither|nor|cannot|nicht|kein\w*|weder|pas|ni|no\s+es") + "|不|并非|沒|没"
NEGATION = re.compile(_NEGATION, re.IGNORECASE)

_NOUN = (
    _words("answers?|solution|response|antwort|endantwort|lösung|r[ée]ponse|respuesta|solución")
    + "|答案|答え|回答|解答|正解"
)
_CHOICE = (
    _words("option|choice|letter|guess|pick|auswahl|buchstabe|choix|lettre|opci[óo]n|elección|letra") + "|选项|選択肢"
)
_SURELY = _words(
    "also|clearly|definitely|obviously|simply|just|thus|therefore|both|all|probably|likely|most likely|"
    "certainly|surely|indeed|then|here|not|never|wohl|donc|correct[ae]?s?|richtige?|finale?|definitiva?"
)
_LINK = (
    r"(?:[:=]|->|→|"
    + _words(
        "is|isn't|are|aren't|was|wasn't|ist|lautet|wäre|est|n'est|serait|es|sería|"
        r"(?:(?:must|should|would|could|can|will|might|may|has to)(?:n't|not)?"
        r"(?:\s+(?:not|never|likely|probably|only))*\s+)?be|"
        r"doit être|debe ser|(?:seems|appears)(?:\s+not)?(?:\s+to\s+be)?"
    )
    + "|'s|不?是|为|应|选|は|が)"
)
_GAP = (
    rf"(?P<gap>\s*(?<![{WORD}])(?:to|for|of|in|among|from|that|auf|zu|à|de|pour|para|(?-i:a))(?![{WORD}])[^.!\n;:]{{0,150}}?)?"
    rf"\s*(?:(?:{_SURELY})\s*|(?:no|ne)\s+)*"
)
_VERB = (
    _words(
        "choose|chose|pick|select|go with|going with|opt for|settle on|vote for|wähle|nehme|choisis|prends|"
        "elijo|escojo|selecciono"
    )
    + "|选择|选(?!项)|選(?!択肢)択?"
)
_FILL = (
    r"(?:[\s:=,>~'→—–-]|"
    + _words(
        "the|my|is|be|to|that|it|it's|as|most|likely|probably|definitely|clearly|therefore|thus|indeed|"
        "simply|just|surely|actually|rather|then|either|both|option|options|choice|letter|answer|number|best|"
        "correct|right|final|also|wohl|eindeutig|die|der|das|den|la|le|el|lettre|letra|buchstabe|antwort|"
        "opci[óo]n|réponse|donc|bien|soit|entweder|ist|est|es|not|i'd say|never|neither|nicht|weder|pas|ni"
    )
    + "|l'|选项|选择|选|是|为|不|该|应该|应|当|项|可能)*"
)
ANNOUNCING = re.compile(
    rf"(?P<head>(?P<tag>{TAGGED})|(?:{_NOUN}|{_CHOICE}){_GAP}(?:{_LINK})|(?P<bare>{_NOUN})"
    rf"|(?:(?:{_NEGATION}|别)(?:\s|要|应该?|能|可以?|会)*)?(?:{_VERB})"
    rf"|{_words('richtig|correct')}\s+(?:ist|is)|正确的是|应该?[为是]){_FILL}",
    re.IGNORECASE,
)
"""Text before an announced letter or text: "the answer is", "Answer:", "I choose", "答案是"."""

SAYING = re.compile(
    r"(?P<head>"
    + _words("it|this|that")
    + r"(?:'s|\s+(?:is|isn't|must be|should be|has to be|would be|seems to be|appears to be))|"
    + _words(
        r"i(?:\s+would|\s+will|'d|'ll)?\s+(?:think|believe|guess|say|suspect|assume)|es\s+ist|das\s+ist|c'est|"
        r"ich (?:denke|glaube)|je (?:pense|crois)|creo\s+que|pienso\s+que"
    )
    + rf"|我(?:认为|觉得|想)|(?<!\w)[这那它]?是)(?![{WORD}]){_FILL}",
    re.IGNORECASE,
)
"""Text before a letter that is stated but not announced: "I think it is"."""

CONCLUDING = re.compile(
    "(?:"
    + _words(
        "so|thus|therefore|hence|definitely|obviously|clearly|certainly|surely|probably|likely|yes|yeah|well|"
        r"ok|okay|sure|daher|deshalb|also|ja|donc|oui|es|sí|así\s+que|por\s+(?:lo\s+)?tanto"
    )
    + f"|所以|因此|故|だから|したがって|はい){_FILL}",
    re.IGNORECASE,
)
"""Text before a letter that ends its clause: "So, B."."""

MENTIONING = re.compile(rf"(?:{_CHOICE}|{_words('options|choices')})\s*", re.IGNORECASE)
"""Words that make a bare letter a mention: "option B"."""

FINAL = re.compile(
    r"(?<!\w)(?:final|finale|endgültige?|définitive)\s+(?:\w+\s+){0,2}?"
    r"(?:answer|choice|option|antwort|réponse|selection|decision)"
    r"|(?:answer|respuesta|réponse|opción)\s+(?:final|définitive|finale|definitiva)|endantwort|(?<!\w)final\s*:"
    r"|in conclusion|in summary|to conclude|zusammenfassend|en conclusion|en conclusión|最终|最終|最后的?答案|综上",
    re.IGNORECASE,
)
"""Words that mark an announcement as final."""

CORRECTION = re.compile(
    _words(
        "wait|actually|correction|on (?:second|further) thoughts?|sorry|apolog(?:y|ies|i[sz]e)|my mistake|"
        "i was wrong|scratch that|"
        r"let me (?:correct|reconsider|revise|rethink)(?:\s+(?:myself|that|this|my answer))?|i mean(?:t)?|"
        r"reconsider\w*|changed my mind|(?:corrected|revised|updated) answer|(?:up)?on reflection|oops|"
        r"hold on|i made a mistake|in fact|no(?=\s*[,.:;!—–-])|moment|warte|korrektur|eigentlich|"
        "entschuldigung|doch|vielmehr|attendez|attends|en fait|pardon|plutôt|finalement|en réalité|espera|"
        "perdón|corrección|en realidad|mejor dicho|de hecho"
    )
    + "|等等|等一下|更正|其实|实际上|抱歉|不对[,。，:]|我错了|重新考虑"
    + "|待って|訂正|やっぱり|やはり|実は|いや[、,]|すみません",
    re.IGNORECASE,
)
"""Words that cancel everything announced before."""

CORRECTING = re.compile(
    rf"(?P<head>{CORRECTION.pattern})[.!,…]*(?:{_FILL}{_words('no')}[ .!,…—–-]*[.!,…—–-])?{_FILL}", re.IGNORECASE
)
"""Text before a corrected letter: "on second thought,"."""

BUT = re.compile(
    rf"(?:{_words('but|rather|instead|sondern|mais|sino')}|而是|[,，、] ?是|なく)[,、]?{_FILL}",
    re.IGNORECASE,
)
"""Text before a letter that replaces another: "not A but"."""

DENYING = re.compile(
    rf"(?:{_NEGATION}|"
    + _words(
        r"except|exclud\w+|eliminat\w+|rul\w+ out|reject\w*|instead of|rather than|unlike|than|sauf|salvo|"
        r"(?:all|any\w*|every\w*)(?: of (?:them|the \w+))? but|"
        r"excepto|(?:wrong|incorrect|false) (?:answer|option|choice)s?(?:\s+(?:is|are))?|without|statt|y no"
    )
    + rf"|排除|除了|非|别){_FILL.replace(',', '')}|(?<![{WORD}])no\s+\(?",
    re.IGNORECASE,
)
"""Text before a denied letter."""

DOUBTING = re.compile(
    rf"(?:(?:{_NEGATION})\s*{_words('think|believe|say|suspect|true|likely|possible|sure|certain')}"
    + rf"|{_words('doubt|unlikely|glaube nicht|denke nicht|ne (?:pense|crois) pas|no creo')}|不(?:认为|觉得|确定))"
    + rf"(?:(?!{_words('but|aber|mais|pero')})[^.,;!?\n])*",
    re.IGNORECASE,
)
"""Text before a doubted statement: "I don't think that it is"."""

TURNING = re.compile(
    rf"(?P<turn>{_words('but|however|still|aber|jedoch|mais|cependant|pero|sin embargo')}|但是?|然而|不过|しかし|でも)"
    rf"[,，、]?\s*(?:{_words('i|we|ich|je')}(?:'d|'ll)?\s*(?:\w+\s+){{0,2}}?(?:{_VERB})"
    rf"|(?:{_words('the|my|die|meine|la|ma|mi')}\s+)?(?:\w+\s+){{0,2}}?(?:{_NOUN}|{_CHOICE})"
    rf"|我?(?:{_VERB})|(?:正确的?|我的)?(?:{_NOUN})|{_words('elijo|escojo|selecciono')})[^.!?\n]{{0,60}}",
    re.IGNORECASE,
)
"""Words that cancel an announcement if another one follows: "but the answer is", "but I choose"."""

HEDGED = re.compile(
    _words("could|might|may|also|too|maybe|perhaps|possibly|könnte|auch|vielleicht|aussi|pourrait|también|podría")
    + "|也|可能|か",
    re.IGNORECASE,
)
"""Words that add a second answer to the first."""

POSSIBLY = re.compile(_words("could|might|may|könnte|pourrait|podría"), re.IGNORECASE)
"""Words that make an announcement a mere possibility: "the answer could be"."""

INITIALS = re.compile(rf"(?<![{WORD}])(?:[A-Za-z]\.){{2,}}[A-Za-z](?![{WORD}])")
"""Letters that form one word: "U.S.A."."""

CALLED_OPTION = re.compile(r"[ )]*(?:选?项|選択肢|番)(?!目)")
"""Text after a letter that names it an option: "B选项"."""

_IS = _words("is|are|was|were|would be|can be|seems|looks|sounds|appears|ist|sind|est|sont|es|son") + "|是"
ONE = re.compile(
    "[ ):.]*" + _words("is|was|isn't|wasn't|can't|cannot|doesn't|does|seems|ist|est|n'est|es"),
    re.IGNORECASE,
)
"""Statements about a single letter, not about the whole list that it ends."""

WRONG = re.compile(
    rf"\s*(?:(?:{_IS})(?:\s*(?:{_SURELY}))*\s*(?:(?:the|an?)\s+)?(?:"
    + _words(
        "wrong|incorrect|false|out|ruled out|excluded|eliminated|discarded|impossible|falsch|fausse?|faux|"
        "incorrect[aeo]?|falsa|neither|not correct|not right|not it"
    )
    + "|错|误)|不对|不正确|错误)",
    re.IGNORECASE,
)
"""Text after a denied letter and its option text."""

DENIED = re.compile(
    rf"(?:[ ):]*|[ )]*\.[ )]*(?-i:(?=[a-z])))(?:(?:{_IS})(?:\s*(?:{_SURELY}))*\s*(?:(?:the|an?|die|la|le|une?)\s+)?(?:"
    + _words(
        "not|never|wrong|incorrect|false|out|ruled out|excluded|eliminated|impossible|unlikely|nicht|falsch|"
        "fausse?|faux|incorrect[aeo]?|pas|falsa|discarded|neither"
    )
    + "|错|不|误)|"
    + _words(
        r"isn't|aren't|wasn't|can't|cannot|doesn't|does not|don't|do not|won't|n'est|neither|no\s+es|wrong|"
        "incorrect"
    )
    + "|都?不|都?错|都是错|では?(?:な|あり)|じゃ(?:な|あり)|并非|选?项(?:不|错|是错|有误)|"
    + _words("no|false|non|nein")
    + r"(?=\s*[.,;\n]|\s*\Z))",
    re.IGNORECASE,
)
"""Text after a denied letter."""

REASON = (
    _words(
        "because|since|as|due to|given|while|whereas|although|though|for|weil|da|denn|parce|car|porque|"
        "ya que|rather than|instead of"
    )
    + "|因为|因為|から"
)
"""Words that begin a reason, which announces nothing."""

_RIGHT = _words(
    "correct|right|best|better|true|accurate|most accurate|richtig|korrekt|bonne|juste|richtige|korrekte|beste|"
    "correct[eao]s?|exacte?|meilleure"
)
CONFIRMED = re.compile(
    rf"[ )]*(?:(?:{_IS}|"
    + _words("must be|has to be|appears to be|seems to be|should be|looks|remains")
    + rf")\s*(?:(?:{_SURELY}|"
    + _words("the|my|die|der|la|le|el|une?|una")
    + rf")\s*)*(?:(?:{_RIGHT})\s*(?=[.,;:!?)\n]|\Z|{REASON}|{_words('and|here|und|et|y')})|(?:(?:{_RIGHT})\s*)*"
    + rf"(?:{_words('final|finale')}\s*)?(?:{_NOUN}|{_words('option|choice|one|match|description|opción')}))"
    + rf"|{_words('stimmt|trifft zu|it is|fits best|matches best|best (?:fits|matches|describes)')}"
    + rf"|{_words('is')}(?=\s*[.,;\n]|\s*\Z)"
    + "|(?:选?项|選択肢)?(?:是|が|は)?(?:最)?(?:正确|对的?|正解|正しい)|です|だと思|を選)",
    re.IGNORECASE,
)
"""Text after an announced letter: "is the right answer"."""

BETWEEN = re.compile(
    r"(?:[\s,;:./\\&|+、()·–-]|"
    + _words(
        "to|through|else|bien|and|or|as well as|along with|plus|also|maybe|possibly|perhaps|probably|either|"
        "both|even|option|choice|und|oder|sowie|vielleicht|et|ou|peut-être|(?-i:[eouy])|quizás?|tal vez"
    )
    + "|和|或者?|与|與|及|以及|还有|と|か|または|や|も|それとも|选项)*",
    re.IGNORECASE,
)
"""Text allowed between two letters of one list."""

FOLLOWING = re.compile(
    "is|are|was|were|because|since|as|and|or|but|not|for|due|given|which|would|with|in|on|based|from|seems|appears|matches|"
    "fits|describes|best|correct|can|must|should|has|looks|makes|over|rather|instead|if|while|whereas|though|although|where|"
    "when|to|by|at|also|alone|isn't|wasn't|cannot|doesn't|und|oder|weil|da|ist|nicht|denn|sondern|et|ou|car|est|parce|mais|"
    "y|o|e|porque|es|ya|sino",
    re.IGNORECASE,
)
"""Words that may follow the letter A; before any other word it is an article."""

VERBS = re.compile("would|can|must|should|has|am|was", re.IGNORECASE)
"""Words among these that may also follow the pronoun I."""
