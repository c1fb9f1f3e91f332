"""Why a document was dropped, in the words of people: the reasons that docs/corpora.md lists."""

from pipeline.pages.parts import Said

TOLD = {
    "empty": "为空",
    "too_short": "过短",
    "too_long": "过长",
    "only_control": "只有控制字符",
    "only_punctuation": "只有标点",
    "nul_character": "含空字符（NUL）",
    "lone_surrogate": "含半个字符（孤立代理项）",
    "wrong_number_of_columns": "列数不对",
    "no_label": "没有标签",
    "tokens_without_tags": "词与标记数目不等",
    "duplicate": "重复",
    "near_duplicate": "近似重复",
    "conflicting_label": "同一文本有两种标签",
    "in_dev_or_test": "在开发集或测试集中",
    "contaminated": "在开发集或测试集中",
    "shares_text_with_dev_or_test": "与开发集或测试集有长段相同",
    "other_language": "其他语言",
    "only_template": "只有模板",
    "only_repeated_lines": "只有重复的行",
    "repeats_itself": "自我重复",
    "repeats_lines": "多行重复",
    "mostly_symbols": "多为符号",
    "mostly_bullets": "多为列表项",
    "mostly_ellipses": "多为省略号",
    "no_function_words": "没有虚词",
    "unequal_length": "原文与改正文长度不等",
    "mostly_changed": "改动过多",
}
ROLES = {
    "text": "文本",
    "text_pair": "第二段文本",
    "labels": "标签",
    "tokens": "词",
    "tags": "标记",
    "keywords": "关键词",
    "source": "原文",
    "target": "改正文",
    "source_or_target": "原文或改正文",
    "group": "分组",
    "score": "分数",
}
"""Of a row."""
FRAMES = {
    "{}_not_a_string": "{}不是字符串",
    "{}_not_strings": "{}不是字符串",
    "{}_not_a_list": "{}不是列表",
    "no_{}": "没有{}",
}
BAD, TARGET = "bad_", "target_"
"""Before an encoding or a format; before what is wrong with the right text of a pair."""


def in_words(reason: str) -> Said:
    """`too_short` as "too short"; what is not known here is told in English."""
    return Said(reason.replace("_", " "), _chinese(reason) or reason.replace("_", " "))


def _chinese(reason: str) -> str:
    framed = {en.format(role): zh.format(name) for en, zh in FRAMES.items() for role, name in ROLES.items()}
    if known := TOLD.get(reason) or framed.get(reason):
        return known
    if reason.startswith(BAD):
        return f"不是完好的 {reason.removeprefix(BAD).upper()}"
    rest = _chinese(reason.removeprefix(TARGET)) if reason.startswith(TARGET) else ""
    return f"改正文{rest}" if rest else ""
