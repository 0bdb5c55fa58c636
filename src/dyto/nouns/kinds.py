"""The kinds by which uncertain things are named, and what is never said about a video.

A synset of WordNet 3.0 represents all classes below it; see `dyto.nouns.table`.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(" ".join(name.split()) for name in text.split(";"))


KINDS: dict[str, tuple[str, ...]] = {
    "dog": ("n02084071",),
    "cat": ("n02121620",),
    "big cat": ("n02127808",),
    "fox": ("n02118333",),
    "wolf": ("n02114100",),
    "bear": ("n02131653",),
    "monkey": ("n02484322",),
    "ape": ("n02470325",),
    "horse": ("n02374451",),
    "sheep": ("n02411705",),
    "antelope": ("n02419796",),
    "elephant": ("n02503517",),
    "rabbit": ("n02323449",),
    "rodent": ("n02329401",),
    "whale": ("n02062744",),
    "bird": ("n01503061",),
    "snake": ("n01726692",),
    "lizard": ("n01674464",),
    "turtle": ("n01662784",),
    "frog": ("n01639765",),
    "crocodile": ("n01696633",),
    "reptile": ("n01661091",),
    "shark": ("n01482330",),
    "fish": ("n02512053",),
    "butterfly": ("n02274259",),
    "beetle": ("n02164464",),
    "insect": ("n02159955",),
    "spider": ("n01772222",),
    "crab": ("n01976957",),
    "animal": ("n00015388",),
    "car": ("n02958343",),
    "truck": ("n04490091",),
    "bus": ("n02924116",),
    "bicycle": ("n02834778",),
    "train": ("n04468005", "n03684823", "n02959942"),
    "boat": ("n02858304",),
    "ship": ("n04194289",),
    "aircraft": ("n02686568",),
    "vehicle": ("n04524313",),
    "fruit": ("n07705931",),
    "vegetable": ("n07707451",),
    "drink": ("n07881800",),
    "bread": ("n07679356",),
    "food": ("n00021265", "n07555863", "n07705931", "n07707451"),
    "flower": ("n11669921",),
    "mushroom": ("n12992868",),
    "plant": ("n00017222",),
    "guitar": ("n03467517",),
    "piano": ("n03928116",),
    "musical instrument": ("n03800933",),
    "chair": ("n03001627",),
    "table": ("n04379243",),
    "bed": ("n02818832",),
    "furniture": ("n03405725",),
    "bridge": ("n02898711",),
    "building": (
        *("n02913152", "n02692877", "castle", "lighthouse", "prison", "lumbermill", "stupa", "dome"),
        *("water tower", "yurt"),
    ),
    "shop": ("n04202417",),
    "clock": ("n03046257",),
    "computer": ("n03082979",),
    "electronic device": ("n03278248",),
    "household appliance": ("n03528263",),
    "bottle": ("n02876657",),
    "ball": ("n02778669",),
    "tool": ("n04451818",),
    "weapon": ("n04565375",),
    "landscape": ("n09287968",),
}
"""Everyday words, the narrower before the wider."""

WITHOUT_ARTICLE = _names(
    """
    furniture; food; fruit; bread; binoculars; sunglasses; jeans; pajamas; wool; velvet; hay; corn; broccoli; guacamole;
    dough; carbonara; rapeseed; eggnog; lotion; sunscreen; perfume; thatch; consomme; dark glasses; parallel bars;
    swimming trunks; chain mail; hair spray; face powder; ice cream; mashed potato; toilet paper; red wine;
    chocolate sauce
    """
)
"""Names that take no "a"."""

PEOPLE = ("n00007846",)
"""Synsets of people (a groom, a ball player, a diver), which are never named, not even as a guess."""

WORN = ("n03051540", "n04565375")
"""Synsets of clothing and weapons, which are named only as a guess, because people wear or carry them."""

HELD = _names(
    """
    Christmas stocking; T-shirt; Windsor tie; abaya; academic gown; adhesive bandage; apron; assault rifle; backpack;
    balance beam; barbell; barber chair; barbershop; basketball; bassinet; bathing cap; bearskin hat; bib; bikini;
    bolo tie; bonnet; bow; bow tie; bra; breastplate; bulletproof vest; cardigan; chain mail; cloak; clog; cowboy
    boot; cowboy hat; cradle; crash helmet; crib; crutch; cuirass; dark glasses; diaper; digital watch; dumbbell; face
    powder; feather boa; football helmet; fur coat; gasmask; gown; hair dryer; hair slide; hair spray; handkerchief;
    harmonica; holster; hoopskirt; horizontal bar; iPod; ice lolly; jeans; kimono; knee pad; lab coat; lipstick;
    loafer; lotion; maillot; maraca; mask; microphone; military uniform; miniskirt; mitten; mobile phone; mortarboard;
    mosquito net; neck brace; necklace; overskirt; oxygen mask; pajamas; parachute; parallel bars; perfume;
    pickelhaube; poncho; punching bag; purse; racket; revolver; rifle; rubber nipple; rugby ball; running shoe;
    sandal; sarong; scabbard; seat belt; shield; shower cap; ski; ski mask; sleeping bag; snorkel; sock; sombrero;
    stage; stethoscope; stole; stretcher; suit; sunglasses; sunscreen; sweatshirt; swimming trunks; swing; syringe;
    tank suit; theater curtain; trench coat; umbrella; velvet; vestment; volleyball; wallet; whistle; wig; wool
    """
)
"""Classes of things that people wear, hold or play with, named only as a guess, because the eye knows no people."""

FLAT = _names(
    """
    analog clock; balloon; ballpoint; bath towel; bell cote; binder; book jacket; bottlecap; bubble; buckle; can
    opener; candle; carton; cassette; chainlink fence; chest; chime; coil; comic book; computer monitor; computer
    screen; corkscrew; crate; crossword puzzle; desktop computer; digital clock; digital watch; dishrag; disk brake;
    doormat; electric fan; electric switch; envelope; eraser; face powder; fire screen; flagpole; golf ball; hair
    slide; hand-held computer; handkerchief; hard disk; home theater; honeycomb; hook; hourglass; jack-o'-lantern;
    jellyfish; jigsaw puzzle; knot; lampshade; laptop; letter opener; lighter; loupe; manhole cover; matchstick; maze;
    menu; modem; nail; nematode; notebook computer; ocarina; odometer; oscilloscope; packet; paper towel; pedestal;
    pencil box; pencil sharpener; piggy bank; pillow; ping-pong ball; pinwheel; plaque; plectrum; pole; prayer rug;
    projector; puck; quill; quilt; radiator; remote control; rubber nipple; ruler; safety pin; saltshaker; scoreboard;
    screw; shield; shoji; shower curtain; slide rule; space bar; spider web; spindle; spotlight; stopwatch; stove;
    street sign; table lamp; television; thimble; toilet seat; torch; traffic light; tray; velvet; wall clock;
    website; whistle; window screen; window shade; wool
    """
)
"""Classes that the eye sees in drawings, pages, patterns and darkness, named only as a guess."""

ALSO: dict[str, tuple[str, ...]] = {
    "puppy": ("n02084071",),
    "cat": ("n02121620",),
    "kitten": ("n02121620",),
    "cow": ("ox",),
    "bull": ("ox",),
    "cattle": ("ox", "water buffalo", "bison"),
    "chicken": ("rooster", "hen"),
    "panda": ("giant panda",),
    "duckling": ("duck",),
    "pony": ("sorrel horse",),
    "lamb": ("ram",),
    "sofa": ("studio couch",),
    "plane": ("airliner", "warplane"),
    "jet": ("airliner", "warplane"),
    "house": ("mobile home", "n02913152"),
    "meal": ("n00021265", "n07555863", "n07705931", "n07707451", "plate"),
    "computer": ("n03082979", "computer keyboard", "computer monitor", "computer mouse"),
    "instrument": ("n03800933",),
    "pot": ("flowerpot", "caldron", "Dutch oven", "coffeepot", "teapot"),
    "glasses": ("sunglasses", "dark glasses"),
    "bag": ("backpack", "purse", "plastic bag", "mailbag", "sleeping bag"),
    "hill": ("mountain", "valley"),
    "beach": ("seashore", "sandbar"),
    "sea": ("seashore", "headland", "coral reef"),
    "coast": ("seashore", "headland"),
    "lake": ("lakeside",),
    "apple": ("Granny Smith apple",),
    "tv": ("television",),
}
"""Words of everyday English that WordNet does not list for its synsets, or lists for others."""

NO_NOUN = _names(
    """
    a; ai; an; as; at; being; can; cause; clip; first; frame; go; group; head; i; in; is; it; kind; kinds; last; man;
    matter; object; objects; of; on; or; part; parts; picture; piece; place; scene; second; set; show; sort; thing;
    things; time; to; type; unit; video; way; whole
    """
)
"""Words that never name a class when they stand alone, whatever WordNet lists them for."""
