"""Sentences in the manner of captions, made up here, with the slips that people make: for scripts/reference/answers.py."""
import random

BY_HAND = """
A man's T-shirt reads "I can't even" in big red letters.
Two dogs aren't playing; they're sleeping on the couch.
The sign says 'no parking' on Mon. and Wed. from 9:30 a.m. to 5 p.m.
a woman (probably a nurse) is holding a 3-year-old child's hand
An old-fashioned black-and-white photo of a family of 5.
He cannot reach the top shelf, so he's standing on a chair
A plate with 1/2 of a sandwich, chips and a pickle.
A St. Bernard dog is lying next to a Mr. Coffee maker.
A bus marked No. 42 is stopped at the corner of 5th Ave. and Main St.
It's 6'2" tall, or so the sign at the zoo claims.
A child is gonna eat the last slice of pizza!
A bathroom w/ a toilet, sink and shower.
a B&W picture of a horse and carriage
Rock 'n' roll band members on stage, circa 1960's
The '90s called... they want their jacket back
A group of people @ the beach flying kites.
a person on a skateboard doing a trick in mid-air.
The dogs' bowls are empty and the cats' beds are full.
A red, white & blue kite in the sky
man in a t-shirt , shorts , and a hat .
There is a clock that reads 10:10 on the tower.
A fridge covered with magnets, photos, etc.
Two giraffes stand by a fence.The zebra is behind them.
A large, two-story, brick building with a clock (on the left)
A baseball player #23 swings at a pitch
A U.S. Air Force jet is parked on the tarmac in Washington, D.C.
A boy who's wearing a 'Cubs' cap catches a ball
a tv, a dvd player, and a t.v. stand
"Stop" is written on a red sign in Spanish and English
A half-eaten donut sits on a napkin next to a 12 oz. cup of coffee.
The train - an old steam engine - pulls into the station
someone's laptop, with a sticker of an apple on it, is open
A cat sits in front of a PC/monitor and a wireless keyboard/mouse
a cake that says "Happy 50th Birthday, Mom & Dad!!"
A man in a suit and tie is shaking another man's hand?
a woman's hand holding a cell phone.  The screen is lit.
An airplane (Boeing 747-400) taxis down the runway
A pizza with half pepperoni and half 4-cheese on it
there's a bike locked to a parking meter that costs $1.50/hr
A surfer in a wetsuit rides a wave; another waits his turn.
a kitchen with a stove/oven, refrigerator and dishwasher
"It's a boy!" balloons are tied to a chair
The man doesn't know that he's being photographed.
A stop sign has been altered to read "Stop Hammertime"
A group of 20-30 people stand around in a field
A three-tiered wedding cake w/flowers on top
A vase of flowers sits on a table ; there are 2 chairs .
Y'all can see the bears' cave behind o'clock tower
People wait for the no.7 bus in the rain.
A dog is 'driving' a toy car in the driveway
a photo taken at 1:15pm of a beach in L.A.
a man and woman playing the Wii
A sandwich with lettuce, tomato, bacon, and mayo ...
This room has a bed, desk, lamp, & a window.
A man is sitting at a table with his laptop,reading a book
Four people in the snow, on skis, waiting.
a sheep-dog is herding a flock of sheep, lambs and rams
An elephant's trunk wraps around a tree-trunk.
A close up of a hot-dog with ketchup, mustard and relish on a bun
Doesn't this look like a good, home-cooked meal?
a woman in a polka-dot dress talks on her cell-phone
A 2-door 1950's Chevy is parked on the side of the road.
Some kids are playing frisbee on the lawn , and a dog's chasing them
3 men , 2 women and 1 dog
A man has a tie that is too short for him
I see a bird. It is on a branch. It looks at me.
the letters A, B and C are on the blocks
A wooden block with the letter A.
Vitamin C. bottles are on the shelf
A woman at a Wal-Mart buys bananas at 49¢/lb.
A man wearing glasses & a scarf is looking @ his phone :)
A child's drawing of a "dinosaur" eating a "house"
An image of a café terrace with crème brûlée on the table
The señor wears a sombrero and plays a piñata game
A street in Zürich, with trams and bicycles
man riding a wave on top of a surfboard
A long line of cars waits at the traffic light/stop sign.
a fire hydrant that's been painted red-white-and-blue
a bear cub's mother is nearby--watching carefully
A man—in a hat—reads the paper
“Welcome” is written on the doormat, isn’t it?
It’s a dog’s life for this golden retriever
Donuts from Dunkin' Donuts in a box of 12
A sign that says [Do not enter] near a {closed} gate
a computer screen showing www.example.com in a browser
A picture of 5 different types of fruit: apples, oranges, pears, plums and a kiwi
Many people are standing outside, near a food-truck; some are eating.
a very large plane in the sky ...
There's a bed in the room .
What's this? A toilet in the middle of the street!
A half-full glass of water next to a half-empty glass of wine
A vintage photo, ca. 1910, of a baseball team
The bus' door is open and the driver's waiting.
Two men shaking hands in front of a U.N. flag
A cat laying on the couch with its' tail hanging off
a horse-drawn carriage going down a cobble-stone street
An apple, an orange,and a banana are in a bowl.
she's wearing a tank-top and he's wearing a button-down shirt
a toddler is brushing her teeth w/ a pink toothbrush
the person is holding the remote in his/her hand
and/or a child with an umbrella
An 18-wheeler truck is on the highway.
Giraffe's are eating leaves from the tall tree's
The players' uniforms are red/white and blue/gold.
A room with a T.V., VCR and DVD player
A 30% off sign hangs in the shop's window
A "No U-Turn" sign below a traffic signal
1 man and 1 woman are sitting on a bench.
two zebras standing side-by-side in a field
A cellphone with "12:45 PM" on its screen
A woman is cutting a cake which says, "Congratulations, Class of '09!"
A group of people that are sitting down.?
a building with a sign that says "Joe's Bar & Grill"
A man cooks hamburgers/hotdogs on a grill.
A polar bear is swimming (or floating) in the water.
a row of motorcycles is parked outside "Mike's Place"
A man in a black jacket is going down a slope on one ski
an iPhone, an iPad and a MacBook Pro on a desk
Mr. and Mrs. Claus pose with a child.
Dr. Smith's office has a x-ray machine
A photo of a meal: rice, beans, and chicken
A kitten and a dog laying together on a bed, sleeping
there are 1,000 or more people at the 10,000-seat stadium
A person on snow-board jumps approx. 10 ft. in the air.
The temperature on the sign is 75°F
A 10 foot long sub sandwich... wow!
A man wearing a "Mets" jersey, No. 5, bats left-handed
Several cows graze in a green pasture with a barn in the back-ground
A view from inside a car of a rainy city street at night-time
Cars are parked along a one-way street in front of shops , restaurants , and bars .
a teddy bear that is wearing a sweater that says "I love N.Y."
""".strip().split("\n")

WHO = """a man|a woman|two men|three women|a little boy|a young girl|a 5-year-old boy|a 3 year old|an elderly couple|a group of people|several children|the
man's dog|a dog|two dogs|a cat|an orange cat|a kitten's mother|some cows|a herd of sheep|a giraffe|2 zebras|an elephant|a brown bear|a polar bear|a surfer|a skate-boarder|
a snowboarder|a tennis player|the batter|a baseball player (#12)|Mr. Smith|Dr. Jones|someone|a person|people|a chef|a policeman|the bride and groom|a couple|a train|
a double-decker bus|an 18-wheeler|a U.S. Navy plane|a motorcycle|a bicycle|an old truck|a fire engine|a stop sign|the clock tower|a laptop computer|a TV|a teddy bear""".replace("\n", "")
DOES = """is standing|are standing|is sitting|sits|stand|is lying|is laying|is walking|walks|is running|isn't looking|aren't moving|can't be seen|is parked|is flying
a kite|is riding a wave|is eating a slice of pizza|is holding an umbrella|is talking on a cell phone|is brushing his/her teeth|is cutting a 3-layer cake|plays
the Wii|is about to hit the ball|is gonna jump|is reading a book|is looking out the window|is wearing a T-shirt & jeans|who's smiling|that's been painted red|
doesn't fit|has a sign that reads "Stop"|shows '10:15'|with a "For Sale" sign|poses for a picture|is taking a selfie|is cooking|it's raining|is getting off|drinks wine|
is covered in snow|wearing a hat|in mid-air|is seen|waits|cannot move|won't stop|wants to play|looks at the camera""".replace("\n", " ")
WHERE = """on a bench|on the beach|in the snow|in a field|near the water|next to a fire hydrant|in front of a building|at the corner of 5th St. and Main|
on top of a table|by a river/lake|under an umbrella|on a red-brick road|in the kitchen|in a bathroom w/ a tub|at a baseball game|on a tennis court|at 9 a.m.|at night|
in the 1970's|on the street in Washington, D.C.|behind a chain-link fence|on a wooden table|inside a cafe|inside a café|on a skateboard|at an airport|at the zoo|
in black and white|in a black-and-white photo|with trees in the back-ground|beside a parking meter|along a one-way street|on a sunny day|during the day|
at Joe's Bar & Grill|near the world's largest ball|on a plate with fries, ketchup, etc.|for $2.50|with 1/2 an orange|that is 10 ft. tall|from the '80s""".replace("\n", "")
TAIL = """||||| while others watch| and a dog's watching| , and it's cold| with a blue, white and red flag| as a man looks on| (on the left)| - very nice| ; it is big|
 -- wow| while it's raining| , smiling| and so on| together| & a friend| or two| with his dad's hat| near me| for the camera|, one of which is red""".replace("\n", "")
ENDS = [".", ".", ".", ".", "", "", " .", " ", "!", "...", "..", "?", "!!", " . ", ".  ", ",", ";"]
DRAWN = 1400


def slip(r, text):
    """What a hurried writer does."""
    kind = r.randrange(24)
    if kind == 0: return text.upper()
    if kind == 1: return text.title()
    if kind == 2: return text.replace(", ", ",")
    if kind == 3: return text.replace(",", " ,")
    if kind == 4: return text.replace("'", "’")
    if kind == 5: return text.replace(" ", "  ", 1)
    if kind == 6: return '"' + text + '"'
    if kind == 7: return text.replace(" and ", " & ")
    if kind == 8: return "There's " + text
    if kind == 9: return text.replace("'", "")
    if kind == 10: return text.replace("-", " - ")
    if kind == 11: return text + " A dog is nearby."
    return text


def sentences(seed=7):
    r = random.Random(seed)
    parts = [[p.strip() if i < 3 else p for p in s.split("|")] for i, s in enumerate((WHO, DOES, WHERE, TAIL))]
    drawn = []
    while len(drawn) < DRAWN:
        words = " ".join(r.choice(p) for p in parts[:3]) + r.choice(parts[3])
        words = words[0].upper() + words[1:] if r.random() < 0.6 else words
        drawn.append(slip(r, words + r.choice(ENDS)))
    return BY_HAND + drawn
