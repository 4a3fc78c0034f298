"""Words that writing tasks and their references are made of: plain, singular, all small letters."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TOPIC_NOUNS = _words(
    """
    airport almanac anchor aquarium archive armchair atelier attic avalanche backpack bakery
    balcony balloon bank barbershop barn barrel basement bathtub bazaar beacon beehive bicycle
    binoculars blanket blender blizzard boat bookshop bottle boulevard bracelet brewery brickyard
    bunker bus cabin cable cactus cafeteria calendar camera campsite canal candle canoe canyon
    caravan carnival carousel cartwheel cathedral cellar cemetery chapel chessboard chimney cinema
    circus clinic clock coconut comet compass concert corridor cottage courtyard crane crater
    creek crossroads dam dentist desert diner dinosaur dockyard dollhouse drum dune dynamo
    earthquake eclipse elevator embassy engine envelope escalator factory farmhouse ferry festival
    fiddle fireplace firework fjord flashlight florist flute fog forge fossil fountain fridge
    furnace galaxy gallery garage geyser glacier glasshouse globe granary grotto guitar gymnasium
    hailstorm hallway hammock hammer hangar harp hedge helicopter herbarium hospital hostel hotel
    hurricane iceberg igloo inn island jacket jetty jigsaw jungle kayak kennel kettle kiosk kite
    labyrinth ladder lagoon lantern laundry library lighthouse lock locomotive loom mailbox manor
    marathon marble marina market meadow meteor microscope mill mine mirror monastery moped mosaic
    motel motor mural museum necklace newspaper notebook nursery oasis observatory office orchard
    organ oven painting palace parade parachute parcel passport pavilion pendulum pharmacy piano
    pipeline planetarium playground plaza postbox pottery prison puppet pyramid quarry quilt
    radiator raft railway rainbow ranch reservoir restaurant robot rocket rooftop sailboat
    sandcastle saucepan sawmill scaffold scarecrow schoolyard scooter sculpture seaport shipwreck
    shoebox shrine skatepark sledge snowman spaceship spire stable stadium staircase statue
    steamship suitcase sundial supermarket swamp swing tannery tavern teapot telegraph telescope
    tent terrace theatre thermos thicket toolbox tractor tramway treehouse trumpet tunnel turbine
    typewriter umbrella vault vineyard violin volcano wardrobe warehouse watchtower
    waterfall weathervane wharf wheelbarrow whirlpool windmill workshop yacht zoo
    """
)
"""Nouns of topics; a topic's noun decides the split of its tasks."""

TOPIC_ADJECTIVES = _words(
    """
    abandoned ancient austere battered beloved borrowed bright broken bustling clumsy colossal
    cracked crooked curious damp dazzling deserted distant drowsy dusty elegant enchanted faded
    famous fancy fearless flooded forgotten fragile frozen gentle ghostly gilded gloomy grand
    haunted hidden humble icy imaginary lonely lopsided lost lucky magical mighty misty modest
    muddy mysterious noisy odd painted peculiar polished proud quaint rambling restless ruined
    rusty sacred secret shabby shy silent sleepy snowy sombre spotless stubborn sunken tidy tiny
    toppled ugly vast velvet weary wild windy wobbly
    """
)

GENRES = (
    "advertisement",
    "complaint",
    "diary entry",
    "eyewitness report",
    "fable",
    "guidebook entry",
    "historical note",
    "letter to a friend",
    "museum label",
    "news item",
    "opening scene of a story",
    "poem in prose",
    "postcard",
    "radio announcement",
    "speech",
    "thank-you note",
    "travel report",
    "warning to visitors",
    "weather report",
    "witness statement",
)

NOUNS = _words(
    """
    apple arrow autumn baker bell bench bird boot bread bridge brook broom brother bucket carpet
    cat chair child city cloud coat coin corner crow daughter dawn doctor dog door driver dusk
    eagle evening farmer fence field fisherman flag flock floor flower forest fox friend frog
    garden gardener gate girl goat goose guard guest hand harbor hat hill horse house husband key
    king kitchen lady lake lamp leaf letter lion man map mayor moon morning mother mountain mouse
    neighbor night nurse ocean otter owl painter path pilot pond porch pupil queen rabbit rain
    river road rock roof room sailor school sea shadow sheep shop sister sky smoke snow soldier
    song spoon spring square stone storm stranger student summer sun table tailor teacher thunder
    tower town train traveler tree tulip uncle valley village visitor voice waiter wall wave wind
    window winter wolf woman wood yard youth
    """
)
ADJECTIVES = _words(
    """
    amber big black blue bold brave brown calm careful cheap clever cold cool crisp dark deep dim
    dry eager early empty fair fast flat fresh full golden good gray green happy hard heavy high
    honest hot hungry idle jolly keen kind large late lazy light little long loud low mild narrow
    neat new nimble old orange pale patient plain polite purple quick quiet rapid red rich round
    royal sharp short silver simple slim slow small smooth soft solid sour still stout strong
    sweet tall thin tired ultimate upper usual vivid warm wet white wide wise yellow young zealous
    """
)
VERBS = _words(
    """
    appeared arrived began came changed climbed danced disappeared drifted echoed fell flew glowed
    grew hid hung hurried jumped knelt laughed lay leaned lingered listened moved nodded paused
    ran rang rested rose sang sank sat shivered shone shook slept slid smiled spoke spun stood
    stopped swam sweated swung trembled turned vanished waited walked wandered watched woke
    worked yawned zigzagged
    """
)
ADVERBS = _words(
    """
    again alone already always apart away badly boldly briefly calmly daily early easily evenly
    fast gladly here home kindly late lazily lightly long loudly merrily neatly often oddly
    patiently politely proudly quickly quietly rapidly sadly safely seldom slowly smoothly softly
    soon still today together twice upright vainly warmly well wildly
    """
)
PREPOSITIONS = _words(
    """
    above across against along among around at before behind below beneath beside beyond by
    despite from in inside into near on outside over past through toward under until upon with
    without
    """
)
DETERMINERS = _words("the the the this that our my his her your each every one another")
CONJUNCTIONS = ("and", "but", "while", "because", "so", "until", "as", "or")
OPENERS = _words(
    """
    again afterwards anyway briefly below beyond calmly certainly clearly daily down downstairs
    early everywhere eventually finally first fortunately generally gently gradually happily here
    hopefully indeed indoors instead just jokingly kindly knowingly lately later luckily maybe
    meanwhile mostly naturally nearby now oddly often once perhaps possibly presently quickly
    quietly rarely really recently slowly soon suddenly then thankfully today uphill usually
    upstairs vaguely visibly weekly well wisely yearly yesterday yet zealously
    """
)
"""Words that may stand before a clause; there is none with x."""

FUNCTION_WORDS = _words(
    "the and of was is very with but for it that this in on to from by as or so"
)
"""Words that a writer misses when they are forbidden."""
END_PHRASES = (
    "and nobody asked why",
    "and all was still",
    "but nothing had changed",
    "as it always had",
    "until tomorrow",
    "and that was all",
    "just as planned",
    "so we stayed",
    "and no one noticed",
    "without a sound",
    "as if by magic",
    "but not for long",
    "and so it goes",
    "for old times' sake",
    "once and for all",
    "as far as I know",
    "far away from town",
    "beyond all doubt",
    "long into autumn",
    "until it was light",
)
LABELS = _words("animal city color country date day name object person place street year")
"""What stands in a placeholder."""
ACROSTICS = _words(
    """
    acorn badge beach camel candy cloud coral daisy delta dream eagle ember flame giant grape green
    heron honey ivory jewel juice koala lemon light lunar maple melon mango moist night noble ocean
    olive onion opera otter panda pearl piano plant quick raven river robin salad scarf shore solar
    stone storm sugar tiger toast tulip urban violet winter wagon whale yacht young zebra
    """
)
JSON_KEYS = _words(
    """
    summary story origin history detail mood sound smell color owner visitor warning advice secret
    season rumor reason remark
    """
)
"""Keys of values that hold sentences."""
JSON_FACTS = {"integer": ("age", "height", "rooms", "price"), "boolean": ("open", "safe", "rare")}
JSON_LISTS = ("notes", "parts", "facts")
