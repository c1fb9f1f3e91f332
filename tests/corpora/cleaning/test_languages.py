"""Text in another language is found where that is beyond doubt; where it is not, it stays."""

import pytest

from corpora.cleaning.languages import SAMPLE, Tongue, of_language
from corpora.schemas import InputError

TEXTS = {
    "zh": "这家酒店的位置很好，离地铁站只有五分钟，房间也很干净，就是早餐的种类少了一点，下次来还会住在这里。",
    "en": "The room was clean and the staff were friendly, but breakfast is served too late for us.",
    "ja": "駅から近くて部屋もきれいでしたが、朝食の種類が少なかったのが残念です。また泊まりたいと思います。",
    "ko": "방은 깨끗하고 직원들은 친절했지만 아침 식사가 너무 늦게 제공되어 불편했습니다.",
    "de": "Das Zimmer war sauber und die Angestellten freundlich, doch das Frühstück gibt es zu spät.",
    "fr": "La chambre était propre et le personnel aimable, mais le petit déjeuner est servi trop tard.",
    "es": "La habitación estaba limpia y el personal era amable, pero el desayuno se sirve muy tarde.",
}


@pytest.mark.parametrize("own", ["zh", "en"])
def test_a_paragraph_is_told_from_those_of_other_languages(own):
    tongue = Tongue(own)
    assert {name: tongue.other(text) for name, text in TEXTS.items()} == {
        name: "" if name == own else name for name in TEXTS
    }


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ("zh", "東京大学"),
        ("zh", "iPhone 15 Pro Max 256GB"),
        ("zh", "OK!"),
        ("zh", "這家飯店的位置很好，離捷運站只要五分鐘，房間也很乾淨，下次來還會住在這裡。"),
        ("zh", "《新世紀エヴァンゲリオン》是由庵野秀明执导的电视动画，在日本的动画史上有着很高的地位。"),
        ("zh", "用 pip install torch 装好以后再运行 python train.py --lr 0.001 就可以了"),
        ("en", "Déjà vu"),
        ("en", "Très bien, garçon"),
        ("en", "404 12:30 2024-11-26 $5.00"),
        ("en", "Schadenfreude und Weltschmerz"),
    ],
)
def test_short_mixed_and_related_text_stays(own, text):
    assert Tongue(own).other(text) == ""


def test_a_long_text_that_ends_in_its_language_stays_and_so_does_one_that_begins_in_it():
    foreign, tongue = (TEXTS["de"] + " ") * (SAMPLE // 50), Tongue("en")
    assert tongue.other(foreign) == "de"
    assert tongue.other(foreign + TEXTS["en"] * 12) == tongue.other(TEXTS["en"] * 12 + foreign) == ""


def test_documents_in_another_language_are_told_counted_and_shown():
    rows = [{"text": text, "place": name} for name, text in TEXTS.items()]
    told, shown = [], []
    kept = list(of_language(rows, Tongue("zh"), lambda *what: told.append(what[:2]), shown))
    assert kept == rows[:1] and told == [(name, "other_language") for name in TEXTS if name != "zh"]
    assert shown[1] == ("ja", TEXTS["ja"])
    pair = {"text": TEXTS["zh"], "text_pair": TEXTS["fr"], "place": ""}
    assert list(of_language([pair], Tongue("zh"), print)) == [pair]


def test_a_language_that_nobody_knows_is_refused():
    with pytest.raises(InputError, match="drop_other_languages knows no language xx: leave it out"):
        Tongue("xx")
