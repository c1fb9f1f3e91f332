"""The words and sentences of the demo corpus, in Chinese and in English. `demo.py` puts them together.

`{slot}` in a sentence is filled from `slots`; `{word}` from the opinion words, `{subject}` from what they are said of.
Opinion words come in families, one aspect and one polarity each. The first half of the aspects is *seen*: labelled
documents for training use no other. No character (English: no word) belongs to two families, so that spelling tells
nothing about an unseen word, and each Chinese word is one word to jieba.
"""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Grammar:
    """All that differs between the two languages."""

    families: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    """Aspect -> its positive and its negative words. The order decides which aspects are seen."""
    subjects: tuple[str, ...]
    """What opinions are said of: the same whatever the aspect, or it would tell the family without its words."""
    neutral: tuple[str, ...]
    """Words that stand where opinions stand and mean neither."""
    opinions: tuple[str, ...]
    """How an opinion, or a neutral word, is said."""
    pairs: tuple[str, ...]
    """How two are."""
    negations: tuple[str, ...]
    """What turns the word right after it around."""
    denials: tuple[str, ...]
    """How the opposite of an opinion is denied."""
    hearsay: tuple[str, ...]
    """How others are quoted, who are wrong in this world. Begins with one of `hearers`."""
    hearers: tuple[str, ...]
    """How a clause begins that does not count."""
    fillers: tuple[str, ...]
    """Clauses that say nothing about polarity."""
    mixtures: tuple[str, ...]
    """General sentences that use any opinion words side by side, whatever their polarity."""
    topics: tuple[tuple[str, ...], ...]
    """General sentences, by topic."""
    slots: dict[str, tuple[str, ...]]
    comma: str
    stop: str
    length: tuple[int, int]
    """A review gets fillers up to a length drawn from this range, in characters."""

    @property
    def seen(self) -> tuple[str, ...]:
        """Aspects that the labelled training documents talk about."""
        return tuple(self.families)[: len(self.families) // 2]

    @property
    def unseen(self) -> tuple[str, ...]:
        """Aspects that only unlabelled, dev and test documents talk about."""
        return tuple(self.families)[len(self.families) // 2 :]


def _families(table: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """One line an aspect: `aspect: positive words / negative words`."""
    families = {}
    for line in table.strip().splitlines():
        aspect, words = line.split(":")
        positive, negative = words.split("/")
        families[aspect.strip()] = tuple(positive.split()), tuple(negative.split())
    return families


def _lists(table: str) -> dict[str, tuple[str, ...]]:
    """One line a list: `name: entry | entry | entry`."""
    lines = (line.split(":", 1) for line in table.strip().splitlines())
    return {name.strip(): tuple(entry.strip() for entry in entries.split("|")) for name, entries in lines}


def _lines(table: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in table.strip().splitlines())


def _words(table: str) -> tuple[str, ...]:
    return tuple(table.split())


CHINESE = Grammar(
    families=_families("""
        taste:       美味 可口 鲜嫩 香甜 爽脆 / 难吃 油腻 寡淡 腥臭 苦涩
        service:     热情 周到 体贴 耐心 亲切 / 冷漠 傲慢 敷衍 粗鲁 蛮横
        price:       便宜 实惠 划算 公道 低廉 / 昂贵 坑人 离谱 奢侈 苛刻
        environment: 整洁 干净 幽静 宽敞 雅致 / 嘈杂 肮脏 拥挤 昏暗 简陋
        quality:     牢固 坚韧 精良 过硬 优质 / 破损 松垮 变形 残缺 瑕疵
        delivery:    迅速 准时 快捷 利索 如期 / 迟缓 延误 耽搁 磨蹭 滞后
        looks:       耀眼 新颖 华丽 醒目 端庄 / 俗气 呆板 陈旧 花哨 笨重
        overall:     满意 惊喜 值得 舒服 赞叹 / 失望 郁闷 糟糕 沮丧 烦躁
    """),
    subjects=_words("这家 他们家 东西 这次 店里 那边"),
    neutral=_words("常见 传统 特殊 标准 中等 复古 家常 典型 低调 古朴 现代 日常 随意 朴素 少见 普通"),
    opinions=_lines("""
        {subject}很{word}
        {subject}{degree}{word}
        {degree}{word}
        让人觉得{word}
    """),
    pairs=_lines("""
        {subject}又{word}又{word}
        {word}又{word}
        {subject}{word}而且{word}
        {degree}{word}，也{word}
    """),
    negations=("不", "并不", "一点也不", "从不", "毫不"),
    denials=("{subject}{negation}{word}", "{negation}{word}"),
    hearsay=("{hearer}{subject}{word}", "{hearer}很{word}", "{hearer}{degree}{word}"),
    hearers=("朋友说", "别人都说", "网上说", "同事以为", "之前听说"),
    fillers=_lines("""
        {time}和{person}一起去的
        {time}又下了一单
        这是第{count}次来
        点了{count}份{dish}
        店就在{place}旁边
        从{place}走过去{count}分钟
        给{person}带了{dish}
        一共买了{count}件
        {person}推着车在门口等
        用的是{time}领的券
        坐在靠窗的位置
        {time}收到短信通知
        顺路拍了几张照片
    """),
    mixtures=_lines("""
        有人觉得{word}，有人觉得{word}
        词典里{word}后面是{word}
        {person}把{word}和{word}写在纸上
        {subject}有时{word}，有时{word}
        {hearer}{word}的{subject}{negation}{word}
        {place}的{subject}很{word}，{place}的{subject}也{word}
        作文里出现了{word}、{word}和{word}
        这句话里{word}写了两遍，{word}写了一遍
        让人觉得{word}的{subject}{degree}{word}
    """),
    topics=tuple(
        _lines(topic)
        for topic in (
            """
            {time}{city}下了一场{rain}
            {city}的气温降到{count}度
            预报说{city}{time}有{rain}
            {rain}过后天空出现了彩虹
            {city}一连{count}天刮着北风
            """,
            """
            从{city}到{place}要坐{vehicle}
            {person}{time}乘{vehicle}去{city}
            {vehicle}在{city}停了{count}分钟
            去{city}的{vehicle}票卖完了
            我们在{place}换乘{vehicle}
            """,
            """
            {dynasty}的都城设在{city}
            {city}出土了{dynasty}的{relic}
            博物馆里有{count}件{dynasty}{relic}
            {relic}在{dynasty}时传到{city}
            史书记载{dynasty}修过这条运河
            """,
            """
            {dish}要用小火煮{count}分钟
            {person}学会了做{dish}
            {dish}里放了盐、糖和{spice}
            {city}人过年爱吃{dish}
            先把{spice}切碎再做{dish}
            """,
            """
            {person}在{city}当{job}
            {person}的邻居是一位{job}
            这位{job}工作了{count}年
            {time}{person}遇见了{job}
            {job}收到{person}寄来的信
            """,
            """
            {count}加{count}不等于{count}
            {person}一共数了{count}遍
            把{count}个苹果分给{count}个人
            第{count}页有{count}道题
            {count}是一个整数
            """,
            """
            {person}在{sport}比赛中得了{count}分
            {city}队赢了{sport}决赛
            {time}有一场{sport}比赛
            {sport}训练要先跑{count}圈
            教练让{person}去练{sport}
            """,
            """
            {animal}生活在{city}的山里
            一只{animal}跑过{place}
            {animal}冬天要睡{count}个月
            {person}给{animal}拍了照片
            动物园有{count}只{animal}
            """,
        )
    ),
    slots=_lists("""
        degree: 非常 | 特别 | 实在 | 真的 | 相当 | 十分
        time: 昨天 | 周末 | 早上 | 中午 | 晚上 | 上周 | 下午 | 今天
        person: 同学 | 同事 | 朋友 | 爸妈 | 小王 | 老李 | 妹妹 | 叔叔 | 室友
        count: 一 | 两 | 三 | 四 | 五 | 六 | 七 | 八 | 九 | 十 | 十二 | 二十
        place: 地铁站 | 公园 | 学校 | 医院 | 银行 | 广场 | 书店 | 码头
        dish: 米饭 | 面条 | 饺子 | 豆腐 | 鱼汤 | 烧鸡 | 牛肉 | 包子 | 青菜
        spice: 辣椒 | 生姜 | 大蒜 | 花椒 | 葱
        city: 北京 | 上海 | 广州 | 成都 | 西安 | 南京 | 武汉 | 昆明 | 杭州 | 兰州
        rain: 小雨 | 大雪 | 雷雨 | 冰雹 | 浓雾
        vehicle: 火车 | 飞机 | 轮船 | 汽车 | 地铁
        dynasty: 汉朝 | 唐朝 | 宋朝 | 明朝 | 清朝
        relic: 铜镜 | 瓷瓶 | 丝绸 | 书画 | 石碑
        job: 医生 | 老师 | 司机 | 画家 | 农民 | 记者
        sport: 足球 | 篮球 | 游泳 | 跳远 | 乒乓球
        animal: 熊猫 | 老虎 | 猴子 | 狐狸 | 野兔
    """),
    comma="，",
    stop="。",
    length=(26, 42),
)

ENGLISH = Grammar(
    families=_families("""
        taste:       tasty delicious fresh juicy flavorful / bland greasy stale bitter soggy
        service:     friendly attentive polite helpful patient / rude arrogant careless cold dismissive
        price:       cheap affordable fair reasonable economical / expensive overpriced steep outrageous inflated
        environment: clean quiet spacious bright cosy / noisy dirty crowded dim shabby
        quality:     sturdy durable solid robust flawless / broken flimsy cracked defective loose
        delivery:    fast punctual prompt swift timely / slow late delayed sluggish overdue
        looks:       elegant stylish beautiful charming gorgeous / ugly dull tacky clumsy dated
        overall:     satisfying delightful enjoyable memorable pleasant / disappointing regrettable awful sad miserable
    """),
    subjects=("it", "all of it", "this one", "the thing", "everything"),
    neutral=_words("common typical usual standard modern local simple average familiar casual special rare"),
    opinions=("{subject} was {word}", "{subject} was {degree} {word}", "{degree} {word}", "i found it {word}"),
    pairs=("{subject} was {word} and {word}", "{word} and {degree} {word}", "both {word} and {word}"),
    negations=("not", "never", "hardly"),
    denials=("{subject} was {negation} {word}", "{negation} {word}"),
    hearsay=("{hearer} it was {word}", "{hearer} {subject} was {word}", "{hearer} {degree} {word}"),
    hearers=("a friend said", "others claim", "the web says", "i had heard"),
    fillers=_lines("""
        we went there {time}
        i came with {person}
        i ordered {count} plates of {dish}
        it is next to the {spot}
        this was order number {count}
        we walked {count} minutes from the {spot}
        {person} paid with a coupon
        we sat by the window
        i bought {count} of them {time}
        {person} took some photos
    """),
    mixtures=_lines("""
        some say {word} and some say {word}
        the list has {word} next to {word}
        {person} wrote {word} and {word} on paper
        {subject} was {word} then {degree} {word}
        {hearer} {word} and {negation} {word}
        i found it {word} then {word}
        the words are {word} {word} and {word}
    """),
    topics=tuple(
        _lines(topic)
        for topic in (
            """
            {time} there was {rain} in {city}
            {city} had {count} days of {rain}
            after the {rain} we saw a rainbow
            the sky over {city} was grey
            """,
            """
            {person} took the {vehicle} to {city}
            the {vehicle} stopped for {count} minutes
            {city} is {count} hours away by {vehicle}
            the {vehicle} left the {spot} {time}
            """,
            """
            {person} works in {city} as a {job}
            the {job} met {person} {time}
            a {job} has {count} books
            {person} wrote a letter to the {job}
            """,
            """
            {person} can cook {dish}
            {dish} needs {count} minutes and some {spice}
            add {spice} to the {dish}
            people in {city} eat {dish} {time}
            """,
            """
            {person} won the {sport} match
            {city} lost {count} games of {sport}
            {sport} begins with {count} rounds
            there is {sport} at the {spot} {time}
            """,
            """
            a {animal} ran past the {spot}
            the zoo in {city} has {count} of each {animal}
            the {animal} sleeps for {count} hours
            {person} drew a {animal}
            """,
        )
    ),
    slots=_lists("""
        degree: very | really | quite | so | truly
        time: yesterday | today | on monday | on sunday | last week | at noon
        person: my brother | my sister | anna | tom | my uncle | a neighbor | my parents
        count: two | three | four | five | six | seven | eight | nine | ten | twenty
        spot: station | park | school | bank | library | harbor
        dish: rice | noodles | soup | beans | chicken | bread
        spice: salt | pepper | ginger | garlic
        city: london | paris | rome | berlin | madrid | vienna | oslo
        rain: rain | snow | fog | hail
        vehicle: train | bus | ship | plane
        job: doctor | teacher | driver | painter | farmer
        sport: football | tennis | chess | hockey
        animal: panda | tiger | monkey | fox | rabbit
    """),
    comma=", ",
    stop=".",
    length=(90, 170),
)
