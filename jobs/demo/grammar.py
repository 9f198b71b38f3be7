"""A probabilistic grammar of children's stories, written for voxgrad: it makes the text on which the demo's language model is trained.

What a story draws at its beginning (a hero, an elder, a pet, what is lost, what is broken, the weather) is used all through it: pronouns and
possessives agree, things are found where they were left, and a cause named in one sentence has its effect in a later one. A good prediction
therefore needs words that lie many words back.

In a rule, <name> is another rule, [a|b|c] one of several phrasings, {x} a part of the story's state. `python grammar.py 3` prints three stories.
"""

import random
import re
import sys

GIRLS = "Mara Nell Ida Lina Rosa Anna Clara Emma Lucy Ella".split()
BOYS = "Tom Finn Otto Paul Ben Jonas Max Leo Emil Sam".split()
MEN = "Hugo Walter Martin Albert Oscar Henry".split()
WOMEN = "Bertha Agnes Martha Helen Olga Frieda".split()
PETS = "Pip Bello Max Luna Moss Flick".split()
ELDERS = {"grandmother": "she", "grandfather": "he", "mother": "she", "father": "he", "aunt": "she", "uncle": "he"}
COLOURS = "red blue green brown black white grey yellow".split()
FURS = "brown black white grey yellow".split()
BEASTS = {"dog": "barked", "cat": "meowed", "goat": "bleated", "pony": "neighed"}
YOUNG = {"kittens": ("kitten", "cat"), "puppies": ("puppy", "dog"), "ducklings": ("duckling", "duck"), "lambs": ("lamb", "sheep")}
HOMES = ["by the river", "by the sea", "at the edge of the forest", "on a hill", "in the village", "behind the church", "near the mill"]
CARRIED = "basket bag box bucket hat boat cart sack".split()
TOOLS = "hammer saw rope key knife ladder nail spade".split()
WARES = "apples eggs flowers pears nuts honey fish mushrooms berries".split()
SEARCHED = ["under the table", "behind the door", "in the garden", "under the bed", "in the kitchen", "in the cellar", "behind the house"]
HIDDEN = ["in the corner behind the hay", "under the hay", "under the stairs", "behind the old boat", "between two stones", "under a tree",
          "in the high grass", "behind the stove", "in an old box"]
DARK = ["barn", "cellar", "cave", "forest", "mill", "tower"]

# craft: who, sex, where, the part that breaks, what then cannot be done, whom it harms, what is given in thanks, how it is seen to work again
CRAFTS = [
    ("miller", "he", "mill", "wheel", "make flour", "without flour nobody in the village could bake bread", "a bag with flour",
     "the water pushed the wheel, and slowly the wheel began to turn"),
    ("fisher", "he", "harbour", "boat", "catch fish", "without fish nobody in the village could cook soup", "three big fish",
     "the boat went out to sea, and the net was full of fish"),
    ("baker", "he", "shop", "oven", "bake bread", "without bread the children were hungry", "a big loaf of bread",
     "the oven was hot, and the whole street smelled of bread"),
    ("shepherd", "she", "farm", "gate", "keep the sheep at home", "the sheep ran into the forest", "a warm blanket",
     "the gate closed again, and the sheep came home"),
    ("teacher", "she", "school", "bell", "call the children", "nobody knew when to come to school", "a book with pictures",
     "the bell began to ring, and the children ran to school"),
    ("weaver", "she", "house", "window", "work", "the wind and the rain came in", "a new coat",
     "the window was whole again, and the room was warm"),
    ("gardener", "he", "garden", "well", "water the trees", "without water there were no apples", "a basket full of apples",
     "the water came up again, and the trees were green"),
]

# weather: how it looks, what is put on or taken for it, why, what it does later
WEATHER = [
    ("the sky was grey and the wind was cold", "put on {h.his} {colour} coat", "it was cold outside", "it began to snow"),
    ("the sky was black and it rained", "put on {h.his} {colour} boots", "it was wet outside", "the rain grew"),
    ("the sun was shining and it was hot", "put on {h.his} {colour} hat", "it was hot outside", "the sun went behind a cloud"),
    ("it was still dark outside", "took {h.his} {colour} lantern", "it was dark outside", "the sun came up"),
    ("the wind was strong", "tied {h.his} {colour} scarf", "it was windy outside", "the wind stopped"),
    ("there was snow on the roof", "put on {h.his} {colour} gloves", "there was snow outside", "it began to snow again"),
]

RULES = {
    "opening": [
        "[Once|Once upon a time|Long ago] there was a {hero.kind} named {hero} who lived in a [small|little|old] house {home}. "
        "{h.He} lived there with {h.his} {elder} and a {petcolour} {beast} named {pet}. <habit>",
        "{hero} was a [small|brave|kind|good] {hero.kind} who lived with {h.his} {elder} {home}. {h.He} had a {petcolour} {beast}, and the name of "
        "the {beast} was {pet}. <habit>",
        "In a [small|little|old] house {home} lived a {hero.kind} named {hero} and {h.his} {elder}. They had a {petcolour} {beast} named {pet}. <habit>",
    ],
    "habit": [
        "Every [morning|day] {hero} took {h.his} {lost} and went to the market. {h.He} sold {wares} there, and when [everything was sold|the {lost} was "
        "empty|the day was over] {h.he} came home with [fresh bread|some money|butter and honey].",
        "Every morning {hero} went [to school|to the village|along the river|to the market], and {pet} [walked beside {h.him}|waited at the door|"
        "went with {h.him}].",
        "{hero} loved {h.his} {beast}, and {pet} loved {hero} too. [Every evening|In the evening|In the afternoon] they sat in front of the fire "
        "[side by side|together].",
        "{h.His} {elder} was old and [kind|tired|quiet], so {hero} [carried the water|lit the fire|baked the bread|swept the kitchen] every [morning|day].",
    ],
    "weather": [
        "One [morning|day] {sky}. {hero} {wear} because {why}.",
        "One [morning|day] {hero} looked out of the window and saw that {sky}. [{h.He} {wear} because {why}|Because {why} {h.he} {wear}].",
        "The next morning {sky}, so {hero} {wear}.",
    ],
    "lost": [
        "{h.He} looked for {h.his} {lost}, but the {lost} was not there. {h.He} looked {place1} and {place2}, but {h.he} could not find it.",
        "{h.He} wanted to take {h.his} {lost}, but {h.he} could not find it. {h.He} looked {place1}. The {lost} was not there. {h.He} looked {place2}. "
        "The {lost} was not there either.",
        "The {lost} was gone. {hero} asked {h.his} {elder}, but {e.he} had not seen it. {hero} looked {place1} and {place2}, and {h.he} found nothing.",
    ],
    "petgone": [
        "{pet} was not in the kitchen, and that was strange, because {pet} was always in the kitchen in the [morning|evening].",
        "{hero} called {h.his} {beast}, but {pet} did not come, and that was strange, because {pet} always came when {hero} called.",
        "The {beast} was gone too. {hero} went into the garden and called {pet}. Nobody came.",
        "{hero} went into the [garden|street] and called the {beast}. [Nobody came|It was quiet and nobody came].",
    ],
    "marks": [
        "{hero} walked along the [river|road|sea|forest], and after a while {h.he} saw small marks in the [mud|snow|sand]. They were the marks of a {beast}. "
        "{hero} followed them [over the bridge and up the hill|through the forest|over the field|along the wall] to the old {place}.",
        "Then {h.he} heard [something|a {beast}|a sound] [behind the house|far away|on the road]. {hero} followed the sound [over the bridge|up the hill|"
        "through the forest] to the old {place}.",
        "{hero} asked [everyone|the baker|the teacher|a neighbour] in the village. [A child|A neighbour|Somebody] had seen the {beast} at the {place}, so "
        "{hero} went [over the bridge|up the hill|along the river] to the {place}.",
    ],
    "helper": [
        "At the {place} lived an old {o.man} named {other}. {o.He} was sitting in front of the door, and {o.he} looked sad. {hero} asked {o.him} what was "
        "wrong. <broken>",
        "In front of the {place} sat {other}, the {craft}. {o.He} [looked sad|was tired and sad|was crying]. {hero} asked {o.him} why {o.he} was sad. <broken>",
        "There {h.he} met an old {o.man}. {o.He} was the {craft}, and {o.his} name was {other}. {hero} asked {o.him} what was wrong. <broken>",
    ],
    "broken": [
        "{other} told {h.him} that the {part} of the {place} was broken. Because the {part} was broken {o.he} could not {work}, and {harm}. <tool>",
        "The {part} was broken, and {o.he} could not {work}. {harm.capitalised}. <tool>",
        "{other} said that {o.he} could not {work}, because the {part} was broken, and {harm}. <tool>",
    ],
    "tool": [
        "{o.He} wanted to mend the {part}, but {o.he} had lost {o.his} {tool}, and {o.he} was too [tired|old|weak] to look for it.",
        "{o.He} could mend the {part}, but only with {o.his} {tool}, and the {tool} was gone.",
    ],
    "promise": [
        "{hero} was sorry for the old {o.man}, and {h.he} promised to help {o.him}. <dark>",
        "{hero} [wanted to help|promised to help {o.him}|said that {h.he} could help]. <dark>",
    ],
    "dark": [
        "First {h.he} looked in the {dark}. It was dark in the {dark} and {h.he} could not see anything, so {other} gave {h.him} a lantern. <found>",
        "{h.He} went to the {dark}, but it was dark there and {h.he} could not see anything. {other} gave {h.him} a lantern, and now {h.he} could see "
        "the whole {dark}. <found>",
        "{h.He} took a lantern, because it was dark, and went into the {dark}. <found>",
    ],
    "found": [
        "{hidden.capitalised} {h.he} found {h.his} {lost}, and [in|next to|beside] the {lost} lay {pet}. <young>",
        "There {h.he} saw {h.his} {beast}. {pet} lay {hidden}, and beside {pet} lay the {lost}. <young>",
        "{hidden.capitalised} lay {pet}, and the {lost} was there too. <young>",
    ],
    "young": [
        "Beside the {beast} there were {number} little {young}. They were [wet and cold|cold|hungry and cold|small and wet], and {pet} was keeping them "
        "warm. <understood>",
        "Next to {pet} {hero} saw {number} {young}. Their mother, a {petcolour2} {dam}, was [gone|not there], and {pet} kept them warm. <understood>",
        "<tooltoo>",
    ],
    "understood": [
        "{hero} laughed, because now {h.he} understood everything. {pet} had heard the {young} in the night. {pet} had taken the {lost} to the {dark}, "
        "because the {young} had no [bed|home]. <tooltoo>",
        "Now {hero} understood everything. {pet} had heard the {young} in the night and had gone to help them. <tooltoo>",
    ],
    "tooltoo": [
        "{hidden2.capitalised}, next to the {lost}, {hero} found the {tool} too. {h.He} took it and ran back to {other}. <glad>",
        "Then {h.he} found the {tool} of the {craft} {hidden2}. {h.He} took the {tool} and brought it to {other}. <glad>",
    ],
    "glad": [
        "The old {o.man} was very glad. {o.He} thanked {h.him} and went to work at once.",
        "{other} was [happy|glad|very glad], because now {o.he} could mend the {part}. {o.He} thanked {hero} and went to work at once.",
        "{other} laughed and thanked {h.him}, and [they went to work at once|{o.he} began to work].",
    ],
    "work": [
        "All day they worked together. {hero} held the [lantern|rope|ladder|light], and {other} mended the {part} with the {tool}. In the afternoon {turn}. "
        "Then {again}. <joy>",
        "They worked [all day|until the evening|all afternoon] together. {other} took the {tool} and mended the {part}, and {hero} helped {o.him}. Then "
        "{again}. <joy>",
        "{other} mended the {part} with the {tool}, and {hero} held the [lantern|ladder|rope]. At last {again}. <joy>",
    ],
    "joy": [
        "{other} danced in the [rain|sun|wind|street] like a [boy|girl|child], and {pet} {noise} until [{pet} was tired|it was dark].",
        "{other} [laughed|danced|sang], and {pet} {noise}, because everyone was happy.",
        "{pet} {noise}, and {other} laughed, because now {o.he} could {work} again.",
    ],
    "reward": [
        "When the [rain stopped|work was done|day was over], {other} [gave {hero} {gift}|filled the {lost} and gave it to {hero}]. {h.He} wanted to pay {o.him}, but {o.he} did not take {h.his} money, "
        "because {h.he} had helped {o.him}. <keep>",
        "{other} wanted to thank {hero}, so {o.he} gave {h.him} {gift}. <keep>",
        "Then {other} gave {hero} {gift}, because {h.he} had been [brave|kind|brave and kind]. <keep>",
    ],
    "keep": [
        "{o.He} asked only for one thing. {o.He} lived alone at the {place}, and in the evening it was very quiet. {o.He} wanted to keep one of the {young}. "
        "{hero} gave {o.him} the smallest one, a {petcolour2} {cub} with one {colour2} ear.",
        "{o.He} lived alone, and {o.he} wanted to keep a {cub}. {hero} gave {o.him} a {petcolour2} {cub} with one {colour2} ear, and {other} was not alone.",
        "",
    ],
    "homeward": [
        "In the evening {hero} walked home [over the bridge|through the forest|along the river|down the hill]. {h.He} carried the {lost} [and {gift}|with the "
        "other {young}|], and {pet} walked beside {h.him}. <waiting>",
        "It was [late|dark] when {hero} and {pet} came home. <waiting>",
        "Then {hero} took {h.his} {lost} and walked home with {pet}. <waiting>",
    ],
    "waiting": [
        "{h.His} {elder} was waiting at the door. {e.He} had been afraid, because it was late [and the river was high|and dark outside|]. {hero} told {e.him} "
        "the whole story. <fire>",
        "{h.His} {elder} was waiting in the kitchen. {e.He} was [glad|happy], because {hero} was home again. {hero} told {e.him} about the {place} and the "
        "{part}. <fire>",
        "{h.His} {elder} kissed {h.him}, because {e.he} had been afraid. <fire>",
    ],
    "fire": [
        "Then they lit the fire, because it was cold, and [the {young}|{pet}|{hero} and {pet}] fell asleep in front of it.",
        "{h.His} {elder} [baked|cut] a big loaf of bread, because {hero} was hungry. The kitchen was warm and smelled sweet. They ate the bread with butter "
        "and honey, and {pet} got the first piece, because {pet} had been brave [and kind|].",
        "{hero} was hungry, so {h.his} {elder} cooked soup. They ate the [hot|warm] soup, and {pet} got a piece of [bread|fish|cheese], because {pet} had been "
        "brave.",
        "{hero} was tired and fell asleep [at once|in front of the fire], and {pet} lay beside {h.him}.",
    ],
    "ending": [
        "The next morning {hero} went to the market again. The {lost} was full of {young}, so {h.he} carried the {wares} in a bag. The [baker|fisher|neighbour] "
        "wanted a {cub}, because there were mice in [his|her] shop. The teacher wanted a {cub} too, because her children loved animals. In the end every {cub} "
        "had a home.",
        "The next [morning|day] {hero} went to the {place} again, and {other} [was waiting|was working|was singing]. When {hero} came past the {place}, {h.he} "
        "could see a small light in the window, and in the light an old {o.man} and a {petcolour2} {cub}, sleeping side by side.",
        "In the end {other} could {work} again, and every house in the village [was happy|had bread|had a light in the window]. And {hero} and {pet} "
        "[slept|sat in front of the fire|lived], side by side.",
        "And when {hero} came past the {place} in the evening, {other} always gave {h.him} [an apple|a piece of bread|warm milk], and {pet} got a piece too.",
    ],
    # small scenes of cause and effect, put between the parts of the long story
    "scene": [
        "{hero} was thirsty, so {h.he} drank water from the [well|river]. The water was cold and sweet.",
        "{hero} was hungry. {h.He} had a piece of bread in {h.his} bag, and {h.he} ate it with {pet}. Then {h.he} was not hungry.",
        "{pet} was [tired|thirsty|hungry], so they sat under a tree. After a while they walked again.",
        "It began to rain. {hero} and {pet} ran under a tree, because they had no [roof|coat]. When the rain stopped, they were wet, but they laughed.",
        "The bridge was high and the river was loud. {pet} was afraid, so {hero} carried {pet} over the bridge. Then {pet} was not afraid.",
        "A neighbour was carrying a heavy [bag|basket|box]. {hero} helped {o2.him}, and {o2.he} gave {h.him} an apple, because {h.he} had been kind.",
        "{hero} saw a bird in the grass. The bird could not fly, because its wing was broken. {h.He} put the bird in {h.his} [hat|bag|coat], because it was cold.",
        "On the road {h.he} met {h.his} friend {friend}. {friend} had lost {f.his} [kite|ball|hat], and {f.he} was sad. {hero} looked up and saw it in a tree. "
        "{h.He} gave it to {friend}, and {friend} was happy.",
        "{hero} sang a song, because {h.he} was [happy|alone|afraid], and {pet} {noise} with {h.him}.",
        "The door of the {place} was closed. {hero} had no key, so {h.he} went in at the window.",
    ],
}

PLANS = [
    "<opening> <weather> <lost> <petgone> <marks> <helper> <promise> <work> <reward> <homeward> <ending>",
    "<opening> <weather> <lost> <petgone> <scene> <marks> <helper> <promise> <work> <reward> <homeward> <ending>",
    "<opening> <weather> <petgone> <lost> <marks> <scene> <helper> <promise> <work> <scene> <reward> <homeward> <ending>",
    "<opening> <scene> <weather> <lost> <scene> <petgone> <marks> <helper> <promise> <work> <reward> <scene> <homeward> <ending>",
]


class Name(str):
    """A word of the story's state; {gift.capitalised} and {hero.kind} are looked up on it."""

    kind = ""

    @property
    def capitalised(self):
        return self[0].upper() + self[1:]


class Pronoun:
    """The pronouns of one person: {h.he}, {h.him}, {h.his}, {h.He}, {h.His}, {h.man}."""

    def __init__(self, subject):
        male = subject == "he"
        self.he, self.him, self.his, self.man = ("he", "him", "his", "man") if male else ("she", "her", "her", "woman")
        self.He, self.His = self.he.capitalize(), self.his.capitalize()


def draw_state(rng):
    """Who and what this story is about; each is drawn once and kept."""
    hero, kind, he = (rng.choice(GIRLS), "girl", "she") if rng.random() < 0.5 else (rng.choice(BOYS), "boy", "he")
    craft, craft_he, place, part, work, harm, gift, again = rng.choice(CRAFTS)
    friend, friend_he = (rng.choice(GIRLS), "she") if rng.random() < 0.5 else (rng.choice(BOYS), "he")
    elder = rng.choice(sorted(ELDERS))
    beast = rng.choice(["dog", "dog", "cat", "goat", "pony"])
    young = rng.choice(["kittens", "kittens", "puppies", "ducklings", "lambs"])
    lost, tool = rng.choice(CARRIED), rng.choice(TOOLS)
    place1, place2 = rng.sample(SEARCHED, 2)
    hidden, hidden2 = rng.sample(HIDDEN, 2)
    sky, wear, why, turn = rng.choice(WEATHER)
    furs = rng.sample(FURS, 3)
    words = {
        "hero": hero, "elder": elder, "pet": rng.choice([p for p in PETS if p not in (hero, friend)]), "beast": beast, "noise": BEASTS[beast],
        "other": rng.choice(MEN if craft_he == "he" else WOMEN), "friend": friend, "craft": craft, "place": place, "part": part, "work": work,
        "harm": harm, "gift": gift, "again": again, "young": young, "cub": YOUNG[young][0], "dam": YOUNG[young][1], "lost": lost, "tool": tool,
        "place1": place1, "place2": place2, "hidden": hidden, "hidden2": hidden2, "sky": sky, "why": why, "turn": turn, "wear": wear,
        "colour": rng.choice(COLOURS), "petcolour": furs[0], "petcolour2": furs[1], "colour2": furs[2], "home": rng.choice(HOMES),
        "wares": rng.choice(WARES), "dark": rng.choice(DARK), "number": rng.choice(["two", "three", "four", "five"]),
    }
    state = {key: Name(word) for key, word in words.items()}
    state["hero"].kind = kind
    state.update(h=Pronoun(he), e=Pronoun(ELDERS[elder]), o=Pronoun(craft_he), f=Pronoun(friend_he), o2=Pronoun(rng.choice(["he", "she"])))
    state["wear"] = Name(wear.format_map(state))
    return state


def expand(text, rng):
    """Replaces each <rule> by one of its phrasings and each innermost [a|b] by one of its branches, until none is left."""
    while True:
        found = re.search(r"<(\w+)>|\[([^\[\]<>]*)\]", text)
        if not found:
            return text
        branches = RULES[found[1]] if found[1] else found[2].split("|")
        text = text[: found.start()] + rng.choice(branches) + text[found.end() :]


def story(rng):
    """One story, its sentences joined by single spaces."""
    text = expand(rng.choice(PLANS), rng).format_map(draw_state(rng))
    return re.sub(r"\s+", " ", text).replace(" ,", ",").replace(" .", ".").strip()


if __name__ == "__main__":
    generator = random.Random(1)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        print(story(generator), end="\n\n")
