"""Reading a multiple choice answer: sentences built from templates, letters, decorations and languages."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dyto.choices import parse_choice

CHOICES = ["a cat", "a dog", "a man walking", "none of the above", "a bird"]
LETTERS = "ABCDE"

BARE = ("{}", "({})", "[{}]", "<{}>", "{{{}}}", "**{}**", "*{}*", "__{}__", "_{}_", "***{}***", "`{}`", '"{}"', "'{}'", "“{}”",
        "‘{}’", "**({})**", "(**{}**)", "**{}.**", "（{}）", "【{}】", "「{}」", "《{}》", "$\\text{{{}}}$", "<b>{}</b>", "${}$")  # fmt: skip
WIDE = dict(zip(LETTERS, "ＡＢＣＤＥ", strict=True))

ANNOUNCED = [
    # English
    "The answer is {}.", "The answer is {}", "Answer: {}", "The correct answer is {}.", "The best answer is: {}.", "Final answer: {}",
    "My answer is {}!", "Based on the video, the correct option is {}.", "Therefore, the answer would be {}.", "I choose {}.",
    "I would go with {}.", "I'd pick {}.", "{} is correct.", "{} is the best answer.", "{} is the right option, because it moves.",
    "The answer to the question is {}.", "The answer must be {}.", "Answer:\n\n{}", "**Answer:** {}", "### Final Answer\n\nFinal answer: {}",
    "The answer is option {}.", "The answer is {}, not the others.", "The answer is {} because it can be seen.", "Best option: {}",
    "I think the answer is {}.", "I believe it is {}.", "The video shows it clearly. Answer: {}", "ANSWER: {}", '{{"answer": "{}"}}', "Answer = {}", "Answer - {}",
    # tags and boxes
    "\\boxed{{{}}}", "$\\boxed{{{}}}$", "The answer is $\\boxed{{\\text{{{}}}}}$.", "<answer>{}</answer>", "<answer>\n{}\n</answer>",
    "<think>It could be A or D.</think><answer>{}</answer>", "<think>A? No, C.</think>\n\nThe answer is {}.", "It is A, I guess.</think>{}",
    "<|begin_of_box|>{}<|end_of_box|>",
    # Chinese
    "答案是{}", "答案：{}", "答案是{}。", "选{}", "我选择{}。", "应该选{}", "正确答案是{}。", "正确答案为：{}", "所以答案是{}。", "最终答案：{}", "故选{}。", "{}是正确的。", "{}选项正确。", "选项{}",
    # German, French, Spanish, Japanese
    "Die Antwort ist {}.", "Antwort: {}", "Die richtige Antwort lautet {}.", "Ich wähle {}.", "{} ist richtig.", "Endgültige Antwort: {}",
    "La réponse est {}.", "Réponse : {}", "La bonne réponse est la {}.", "Je choisis {}.", "Réponse finale : {}", "{} est la bonne réponse.",
    "La respuesta es {}.", "Respuesta: {}", "La respuesta correcta es la opción {}.", "Elijo {}.", "Respuesta final: {}", "{} es la respuesta correcta.",
    "答えは{}です。", "答え：{}", "正解は{}です", "{}が正解です。", "最終的な答えは{}です。",
    # alone
    "{}", "{}.", "{}。", " {}\n", "{}\n\nThe man is seen at the window.", "- {}", "> {}", "#### {}", "Risposta: {}", "Ответ: {}",
]  # fmt: skip

SEVERAL = ["{0} and {1}", "{0} or {1}", "{0}/{1}", "{0}, {1}", "{0} & {1}", "either {0} or {1}", "both {0} and {1}", "{0} or maybe {1}", "{0} and/or {1}",
           "{0}, {1} and {2}", "{0}, {1}, {2}", "{0}+{1}", "{0}和{1}", "{0}或{1}", "{0}、{1}", "{0}或者{1}", "{0} und {1}", "{0} oder {1}", "{0} et {1}", "{0} ou {1}",
           "{0} y {1}", "{0} o {1}", "{0}と{1}", "{0}または{1}", "{0} {1}", "{0} as well as {1}"]  # fmt: skip
BEFORE_SEVERAL = ["Answer: {}", "The answer is {}.", "The correct option is {}", "答案是{}。", "Die Antwort ist {}.", "La réponse est {}.", "La respuesta es {}.",
                  "答えは{}です。", "<answer>{}</answer>", "\\boxed{{{}}}", "Final answer: {}", "{}", "I choose {}."]  # fmt: skip

DENIED = ["not {}", "The answer is not {}.", "The answer isn't {}.", "It is not {}.", "It isn't {}.", "The answer cannot be {}.", "I would not choose {}.", "Don't pick {}.",
          "{} is wrong.", "{} is incorrect.", "{} is not the answer.", "{} is not correct.", "{} can be ruled out.", "The wrong answer is {}.", "不是{}", "答案不是{}。", "{}不对。", "{}是错误的。", "不选{}",
          "nicht {}", "Die Antwort ist nicht {}.", "{} ist falsch.", "La réponse n'est pas {}.", "{} est fausse.", "La respuesta no es {}.", "答えは{}ではない。", "{}ではありません。"]  # fmt: skip

CORRECTED = ["The answer is not {0} but {1}.", "The answer is not {0}. It is {1}.", "The answer isn't {0}, it's {1}.", "Not {0}. The answer is {1}.", "{0} is wrong. The answer is {1}.",
             "Answer: {0}. Wait, actually the answer is {1}.", "Answer: {0}\nFinal answer: {1}", "The answer is {0}. On second thought, {1}.", "The answer is {0}. Correction: {1}",
             "Answer: {0}. Sorry, the correct answer is {1}.", "Answer: {0}\n\nLet me reconsider. The ball moves.\n\nAnswer: {1}", "The answer is {0}... Hmm, actually it is {1}.",
             "At first I thought {0}, but the answer is {1}.", "The answer is {0}. My mistake, it should be {1}.", "I think it is {0}. \\boxed{{{1}}}", "Answer: {0}\n<answer>{1}</answer>",
             "It is either {0} or {2}. Final answer: {1}", "It is {0} or {1}, so the answer is {1}.", "The answer is {1}, not {0}.", "The answer is {1} rather than {0}.", "{1}, because {0} is wrong.",
             "The answer is {1}. {0} is wrong.", "<think>The answer is {0}.</think>The answer is {1}.", "不是{0}，而是{1}。", "不是{0}，是{1}", "答案：{0}。等等，答案应该是{1}。", "{0}不对，选{1}", "答案是{0}。更正：答案是{1}。",
             "Die Antwort ist nicht {0}, sondern {1}.", "Antwort: {0}. Moment, die Antwort ist {1}.", "La réponse n'est pas {0} mais {1}.", "Réponse : {0}. En fait, la réponse est {1}.",
             "La respuesta no es {0}, sino {1}.", "Respuesta: {0}. Perdón, la respuesta es {1}.", "答えは{0}ではなく{1}です。", "答えは{0}です。訂正、答えは{1}です。"]  # fmt: skip

NOTHING = ["The answer is {0}. The answer is {1}.", "Answer: {0}\nAnswer: {1}", "\\boxed{{{0}}} or \\boxed{{{1}}}", "答案是{0}。答案是{1}。", "<think>The answer is {0}.", "<think>{0}<answer>{0}</answer>",
           "Neither {0} nor {1}.", "The answer is neither {0} nor {1}.", "{0} and {1} are both wrong.", "{0}\n{1}", "I do not know.", ""]  # fmt: skip


def decorated(template, letters, forms):
    """A template with letters in it, each wrapped in a form that goes with it."""
    return template.format(*(form.format(letter) for letter, form in zip(letters, forms, strict=False)))


def readable(template, form):
    """Whether a wrapped letter can stand there at all: a box does not hold dollars, nor JSON quotes."""
    return not (
        ("boxed" in template and ("$" in form or "{" in form.replace("{}", ""))) or ('"' in template and '"' in form)
    )


def wrong(cases):
    return [(text, parse_choice(text, CHOICES), right) for text, right in cases if parse_choice(text, CHOICES) != right]


def test_a_letter_is_read_whatever_announces_and_decorates_it():
    cases = [
        (template.format(form.format(letter)), index)
        for template, form in itertools.product(ANNOUNCED, BARE)
        for index, letter in enumerate(LETTERS)
        if readable(template, form)
    ]
    cases += [(template.format(WIDE[letter]), LETTERS.index(letter)) for template in ANNOUNCED for letter in LETTERS]
    assert len(cases) > 9000
    assert not wrong(cases[::3]), "of every third, for the sake of time"


def test_a_letter_with_its_text_is_read():
    behind = (
        "{}. {}",
        "{}) {}",
        "({}) {}",
        "{}: {}",
        "{} - {}",
        "**{}**: {}",
        "**{}. {}**",
        "{}. {}.",
        "{} ({})",
        "（{}）{}",
        "{}、{}",
    )
    cases = [
        (template.format(form.format(letter, CHOICES[index])), index)
        for template in (
            "The answer is {}",
            "Answer: {}",
            "Option {}",
            "{}",
            "答案是{}",
            "Die Antwort ist {}",
            "<answer>{}</answer>",
        )
        for form in behind
        for index, letter in enumerate(LETTERS)
    ]
    assert not wrong(cases)


@pytest.mark.parametrize("several", SEVERAL)
def test_two_letters_in_one_place_are_no_answer(several):
    forms = ("{}", "({})", "**{}**", "“{}”", "（{}）")
    cases = [
        (before.format(decorated(several, letters, [form] * 3)), None)
        for before, form in itertools.product(BEFORE_SEVERAL, forms)
        for letters in itertools.islice(itertools.permutations(LETTERS, 3), 0, 60, 7)
    ]
    assert not wrong(cases)


def test_the_same_letter_twice_is_an_answer():
    assert parse_choice("The answer is B, (B).", CHOICES) == 1
    assert parse_choice("Answer: B\n\nThe answer is **B**", CHOICES) == 1


def test_a_denied_letter_is_not_announced():
    forms = ("{}", "({})", "**{}**", "【{}】")
    assert not wrong([(t.format(f.format(letter)), None) for t in DENIED for f in forms for letter in LETTERS])


def test_what_corrects_or_is_final_wins():
    pairs = list(itertools.permutations(LETTERS, 3))[::4]
    forms = ("{}", "({})", "**{}**")
    cases = [
        (decorated(template, letters, [form] * 3), LETTERS.index(letters[1]))
        for template in CORRECTED
        for letters in pairs
        for form in forms
        if readable(template, form)
    ]
    assert not wrong(cases)


def test_what_contradicts_itself_or_is_only_thought_is_no_answer():
    pairs = list(itertools.permutations(LETTERS, 2))
    assert not wrong(
        [
            (decorated(template, pair, [form] * 2), None)
            for template in NOTHING
            for pair in pairs
            for form in ("{}", "({})")
        ]
    )


def test_lower_case_after_an_announcement_is_a_letter_unless_it_is_a_word():
    cases = [(t.format(letter), i) for t in ("The correct answer is {}.", "answer: {}", "the answer is {}", "the answer is ({})", "答案是{}", "{}", "({})", "{}.", "<answer>{}</answer>")
             for i, letter in enumerate("abcde")]  # fmt: skip
    cases += [(t.format(text), i) for t in ("the answer is {}", "The answer is {}.", "answer: {}", "I choose {}.", "<answer>{}</answer>", "The answer is {}, not a horse.")
              for i, text in enumerate(CHOICES)]  # fmt: skip
    cases += [
        ("the answer is a horse", None),
        ("the answer is a", 0),
        ("The answer is A horse", None),
        ("the answer is a, because it purrs", 0),
    ]
    assert not wrong(cases)


def test_a_letter_past_the_last_option_is_no_answer():
    cases = [(template.format(letter), None) for template in ANNOUNCED for letter in "FZ"]
    assert not wrong(cases)


def test_a_letter_with_the_text_of_another_option_is_no_answer():
    cases = [(f"{start}{letter}{mark}{text}", None) for start in ("", "The answer is ", "Answer: ") for mark in (". ", ") ", ": ", " - ")
             for letter, (i, text) in itertools.product(LETTERS, enumerate(CHOICES)) if LETTERS.index(letter) != i]  # fmt: skip
    assert not wrong(cases)


@pytest.mark.parametrize(
    ("text", "choices", "right"),
    [
        ("No, it is not.", ("yes", "no"), 1),
        ("No, there isn't.", ("yes", "no"), 1),
        ("Yes, because nothing else moves, not even the ball.", ("yes", "no"), 0),
        ("Yes, no other ball moves.", ("yes", "no"), 0),
        ("No it does not.", ("yes", "no"), 1),
        ("**No**. It isn't there.", ("yes", "no"), 1),
        ("I would say no.", ("yes", "no"), 1),
        ("The answer is yes, nothing is missing.", ("yes", "no"), 0),
        ("The answer is yes. Wait, no, the answer is no.", ("yes", "no"), 1),
        ("Yes.", ("No, he does not", "Yes, he does"), 1),
        ("<answer>no</answer>", ("yes", "no"), 1),
        ("There is no doubt about it", ("yes", "no"), None),
        ("No doubt, yes.", ("yes", "no"), 0),
        ("Yes and no.", ("yes", "no"), None),
        ("Yes or no?", ("yes", "no"), None),
        ("It does not", ("yes", "no"), None),
        ("Yes", ("true", "false"), None),
        ("False, it does not move.", ("true", "false"), 1),
        ("The answer is 3.", ("1", "2", "3", "4"), 2),
        ("3", ("1", "2", "3", "4"), 2),
        ("There are 3 balls.", ("1", "2", "3", "4"), 2),
        ("3.5", ("3", "4", "5"), None),
        ("-5", ("5", "-5"), 1),
        ("3-5", ("3", "5"), None),
        ("The answer is C major.", ("G major", "C major", "A minor"), 1),
        ("vitamin C", ("vitamin B", "sugar", "vitamin C"), 2),
        ("The man takes vitamin C.", CHOICES, None),
        ("Both A and B", ("a cat", "a dog", "Both A and B"), 2),
        ("C. Both A and B", ("a cat", "a dog", "Both A and B"), 2),
        ("The answer is (C) both A and B.", ("a cat", "a dog", "Both A and B"), 2),
        ("All of the above", ("a cat", "a dog", "all of the above"), 2),
        ("None of the above.", CHOICES, 3),
        ("The answer is none of the above.", CHOICES, 3),
        ("H", tuple("abcdefgh"), 7),
        ("The answer is H.", [str(i) for i in range(10)], 7),
        ("I think (B) is right", [str(i) for i in range(10)], 1),
        ("y", ("x", "y", "z"), 1),
        ("A is bigger", ("B is bigger", "A is bigger"), 1),
        ("It's not a cat, it's a dog.", CHOICES, 1),
        ("A dog, because it is not a cat.", CHOICES, 1),
        ("There is no dog.", CHOICES, None),
        ("Not A. It is a cat", CHOICES, None),
        ("一只狗", ("一只猫", "一只狗"), 1),
        ("答案是一只狗。", ("一只猫", "一只狗"), 1),
        ("A. a cat\nB. a dog\nC. a man walking", CHOICES, None),
        ("Options: (A) a cat (B) a dog (C) a man walking (D) none of the above (E) a bird\nAnswer: B", CHOICES, 1),
        ("A) a cat: no. B) a dog: yes. So the answer is B", CHOICES, 1),
        ("The answer is B.\n\nExplanation: (A) shows a cat, (C) shows a man.", CHOICES, 1),
        ("B\n\nExplanation:\nA. shows a cat\nC. shows it", CHOICES, 1),
        ("Is the answer A? No, the answer is B.", CHOICES, 1),
        ("Best option:(B", CHOICES, 1),
        ("Answer: Best option:(B) a dog", CHOICES, 1),
        ("~~A~~ B", CHOICES, 1),
        ("<answer>unknown</answer> a dog", CHOICES, None),
        ("<answer></answer> The answer is B", CHOICES, 1),
        ("Final answer: B. The answer is A.", CHOICES, 1),
        ("Final answer: A. Final answer: B.", CHOICES, None),
        ("B选项", CHOICES, 1),
        ("B项正确。", CHOICES, 1),
        ("A项错误，B项正确", CHOICES, 1),
        ("The answer could be A or B but I choose B", CHOICES, 1),
        ("The answer could be A or B. I choose B.", CHOICES, 1),
        ("The answer could be A or B", CHOICES, None),
        ("At first glance A seems right, but the answer is C.", CHOICES, 2),
        ("A scheint richtig, aber die Antwort ist B.", CHOICES, 1),
        ("A semble correct, mais la réponse est B.", CHOICES, 1),
        ("A看起来正确，但答案是B。", CHOICES, 1),
        ("The answer is A. But if you choose B you are wrong.", CHOICES, None),
        ("The answer is A, but many choose B.", CHOICES, None),
        ("The answer is A, but B is also correct.", CHOICES, None),
        ("The answer is A, but the answer could be B, too.", CHOICES, 0),
        ("Not A. B.", CHOICES, 1),
        ("Not A. Not B. C.", CHOICES, 2),
        ("Not A, B.", CHOICES, None),
        ("1) B", CHOICES, 1),
        ("B -", CHOICES, 1),
        ("B?", CHOICES, 1),
        ("⒝", CHOICES, 1),
        ("🅑", CHOICES, 1),
        ("🅱", CHOICES, 1),
        ("It is 20℃.", CHOICES, None),
        ("№", ("yes", "no"), None),
        ("B\x00", CHOICES, 1),
        ("it's b", CHOICES, 1),
        ("it's a dog", CHOICES, 1),
        ("it's a", CHOICES, None),
        ("I'll say E", CHOICES, 4),
        ("Between A and B, B is better.", CHOICES, 1),
        ("U.S.A.", CHOICES, None),
        ("In the U.S.A. the answer is B.", CHOICES, 1),
        ("A.B.C", CHOICES, None),
    ],
)  # fmt: skip
def test_what_a_reader_would_make_of_it(text, choices, right):
    assert parse_choice(text, choices) == right


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=8))
@example("\\boxed{{{", ["(", ")"])
@example("<answer>", ["*", "\ue000"])
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_any_text_is_read_without_an_error(text, choices):
    found = parse_choice(text, choices)
    assert found is None or 0 <= found < len(choices)


_PARTS = st.sampled_from(["A", "B", "(C)", "**D**", "not", "the answer is", "Answer:", "<answer>", "</answer>", "\\boxed{", "}", "<think>", "</think>", ".", ",", "\n", "wait", "a dog", "or", "答案是"])  # fmt: skip


@given(st.lists(_PARTS, max_size=12))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_any_order_of_an_answers_parts_is_read_without_an_error(parts):
    text = " ".join(parts)
    found = parse_choice(text, CHOICES)
    if found is not None:
        visible = text.rpartition("</think>")[2].partition("<think>")[0]
        assert LETTERS[found] in visible or CHOICES[found] in visible, "what was only thought is named by nobody"


@pytest.mark.parametrize(
    "piece",
    [
        "A ",
        "(",
        "(A)",
        "the answer is ",
        "<answer>",
        "\\boxed{",
        "not ",
        "不",
        "$",
        "*",
        "<b>",
        "wait ",
        "\n",
        "x",
        "A, ",
        "B because ",
    ],
)
def test_a_long_answer_takes_no_long_time(piece):
    start = time.process_time()
    parse_choice(piece * (10_000 // len(piece)), CHOICES)
    assert time.process_time() - start < 10
