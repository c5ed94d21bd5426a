"""Voice-search requests from templates: music, weather, timers, places, shopping, food and coffee.

In: a random source. Out: a script for ``phrases.phrase``. ``{slot}`` is replaced by one of the slot's
options, which may hold slots themselves; ``{title}`` and ``{thing}`` are left for the caller's own text.
"""

from __future__ import annotations

import random
import re

from asr.train.numbers import DAYS, cardinal, clock

_TEMPLATES = """
play {title} by {name}
play {title}
play {polite} some {genre} music
play the album {title} by {name}
put on {title} by {name}
add {title} to my {genre} playlist
find me {title}
find me {article} {colour} {garment}
find me a {thing} {near}
find {name} {near}
search for {title}
search for {thing}
look up {title}
show me {colour} {garment}s in size {size}
show me {thing} {thing}
weather in {city}
what's the weather like in {city} {day}
will it rain in {city} {day}
how cold is it in {city}
set a timer for {duration}
set an alarm for {time}
wake me up at {time}
remind me to {title} at {time}
remind me {day} about {title}
navigate to {number} {name} street
navigate to {city}
directions to the nearest {place}
how far is it to {city}
take me to the {place} {near}
call {name}
text {name} {title}
send a message to {name}
who is {name}
who wrote {title}
what is {thing}
what does {thing} mean
how do you spell {thing}
translate {thing} into {language}
how do you say {title} in {language}
where can i buy {article} {colour} {garment}
{article} {colour} {garment} in size {size}
order {article} {colour} {garment} size {size} {polite}
{size} {colour} {garment}
{colour} {material} {garment} for {who}
cheap {material} {garment} under {number} dollars
i'm looking for {article} {colour} {garment} for my {relative}
can i get {coffee} {polite}
i'd like {coffee}
{coffee} {polite}
{cup} {brew} {milk}
{cup} {roast} roast {brew} {milk} {sugar}
order {food} and {food} {polite}
{food} with {topping} and {topping}
can i have {count} {food}s {with} {polite}
add {count} {grocery} to my shopping list
{count} {unit} of {grocery}
buy {grocery} and {grocery}
turn {onoff} the {room} {device}
set the {room} {device} to {number} percent
open {thing}
restaurants {near}
{language} restaurants in {city}
flights from {city} to {city} {day}
hotels in {city} for {count} nights
how many {unit} are in {count} {unit}
what time does the {place} open {day}
when is the next train to {city}
read me the news about {city}
how old is {name}
movies with {name}
watch {title} on the television
recipe for {food} with {topping}
{wake} {title}
{wake} play {title}
{wake} set a timer for {duration}
{wake} what's the weather in {city}
""".strip().splitlines()

_SLOTS = {
    "polite": "||please|now|thanks",
    "genre": "jazz|rock|classical|pop|country|blues|folk|hip hop|dance|piano|heavy metal|reggae"
    "|soul|opera|disco",
    "first": "john|mary|michael|sarah|david|emma|james|anna|robert|linda|thomas|julia|george|alice"
    "|henry|grace"
    "|peter|laura|paul|helen|frank|ruth|oliver|sophie|ravi|maria|carlos|yuki|omar|nina|kevin|zoe|joan|hugh",
    "last": "smith|jones|taylor|brown|wilson|evans|johnson|walker|white|green|hughes|edwards|clarke"
    "|young|king"
    "|wright|hill|scott|moore|cooper|bailey|garcia|murphy|parker|bennett|foster|price|ross|gray"
    "|long|patel|lee",
    "name": "{first} {last}|{first} {last}|{first}|{last}",
    "near": "|near me|nearby|in {city}|close to here|around the corner|on {last} street",
    "article": "a|a|some|the|a new|another",
    "colour": "black|white|red|blue|green|yellow|grey|brown|pink|purple|orange|navy|beige|dark blue"
    "|light green"
    "|silver|gold|cream|turquoise",
    "garment": "jacket|shirt|sweater|coat|skirt|hat|scarf|boot|shoe|sock|belt|jumper|trouser|hoodie"
    "|cap|sneaker"
    "|sandal|blouse|vest|glove|raincoat|backpack",
    "size": "small|medium|large|extra large|extra small|X L|X S|double X L|{number}|{number}|S|M|L",
    "material": "leather|cotton|wool|denim|linen|silk|velvet|rubber|suede",
    "who": "men|women|kids|a boy|a girl|a baby|winter|summer|running|the beach",
    "relative": "mother|father|sister|brother|son|daughter|wife|husband|friend|aunt|uncle",
    "city": "london|paris|berlin|new york|chicago|boston|seattle|tokyo|sydney|dublin|rome|madrid|vienna|oslo"
    "|cairo|mumbai|delhi|toronto|montreal|dallas|denver|miami|houston|moscow|athens|lisbon|edinburgh|glasgow"
    "|manchester|san francisco|los angeles|washington|atlanta|portland|philadelphia|hong kong|singapore",
    "day": "|today|tomorrow|tonight|this weekend|next week|this afternoon|on {weekday}|in the morning",
    "weekday": "|".join(DAYS),
    "duration": "{number} minutes|{number} seconds|{count} hours|an hour|half an hour|an hour and a half"
    "|{number} minutes and {number} seconds",
    "place": "station|airport|hospital|pharmacy|library|museum|bakery|post office|gas station"
    "|supermarket|bank"
    "|school|park|coffee shop|hotel|bus stop|parking lot|dentist|gym|cinema",
    "language": "french|german|spanish|italian|chinese|japanese|russian|arabic|greek|english|thai"
    "|indian|turkish",
    "coffee": "a {cup} {brew} {milk} {sugar}|a {cup} {brew}|a {roast} roast {brew} {milk}|{count} {brew}s"
    "|a {brew} {milk} and {sugar}|an iced {brew} {milk}|a {cup} {flavour} {brew}",
    "cup": "small|medium|large|tall|grande|venti|regular|double|single|big",
    "brew": "latte|coffee|cappuccino|espresso|americano|mocha|flat white|macchiato|filter coffee"
    "|tea|cold brew"
    "|hot chocolate|green tea|decaf",
    "roast": "light|dark|medium|french|italian|blonde",
    "flavour": "vanilla|caramel|hazelnut|pumpkin spice|cinnamon|chocolate|coconut",
    "milk": "|with milk|with oat milk|with soy milk|with almond milk|with skim milk|with a little milk"
    "|with lots of milk|without milk|black|no milk|with cream|with extra foam|with whole milk",
    "sugar": "|no sugar|one sugar|two sugars|three sugars|with one sugar|with two sugars|a spoon of sugar"
    "|with half a sugar|extra sugar|with honey|with {flavour} syrup",
    "food": "pizza|burger|cheeseburger|salad|sandwich|burrito|taco|soup|pasta|curry|noodle soup|hot dog|bagel"
    "|chicken wing|waffle|pancake|omelette|milkshake|croissant|muffin|fried rice|apple pie",
    "topping": "cheese|mushrooms|onions|olives|pepperoni|bacon|tomatoes|extra cheese|garlic|ketchup|mustard"
    "|mayonnaise|pickles|lettuce|pineapple|ham|hot sauce|sour cream|peppers|avocado",
    "with": "|with {topping}|without {topping}|with {topping} and {topping}|with no {topping}",
    "grocery": "milk|eggs|bread|butter|apples|bananas|rice|flour|sugar|cheese|potatoes|carrots|oranges|coffee"
    "|tea|salt|olive oil|yogurt|chicken|fish|lemons|toilet paper|soap|toothpaste|batteries",
    "unit": "pounds|kilos|bottles|cups|ounces|liters|boxes|bags|grams|gallons|cans|packs|slices|spoons",
    "onoff": "on|off|up|down",
    "room": "living room|bedroom|kitchen|bathroom|hall|garage|office|upstairs|downstairs",
    "device": "light|lights|lamp|heating|fan|television|radio|speaker|thermostat|blinds",
    "wake": "hey siri|hey google|okay google|alexa|computer|hey jarvis|hey assistant",
}
_OPTIONS = {slot: options.split("|") for slot, options in _SLOTS.items()}
_SLOT = re.compile(r"\{(\w+)\}")


def search_template(source: random.Random) -> str:
    """One request with its slots unfilled."""
    return source.choice(_TEMPLATES)


def expand(template: str, source: random.Random) -> str:
    """Fill every ``{slot}`` of a template at random; ``KeyError`` for a slot that does not exist."""
    while _SLOT.search(template):
        template = _SLOT.sub(lambda match: _fill(match[1], source), template)
    return " ".join(template.split())


def _fill(slot: str, source: random.Random) -> str:
    if slot == "number":
        return cardinal(source.randint(2, 99))
    if slot == "count":
        return cardinal(source.randint(2, 12))
    if slot == "time":
        return clock(source)
    return source.choice(_OPTIONS[slot])
