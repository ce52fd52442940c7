"""The sequences of DAVIS 2016 that show what a COCO detector finds."""

#: COCO class of each sequence's object.
SEQUENCES = {
    "blackswan": "bird",
    "breakdance": "person",
    "car-roundabout": "car",
    "car-shadow": "car",
    "cows": "cow",
    "dog": "dog",
    "drift-chicane": "car",
    "motocross-jump": "motorcycle",
    "parkour": "person",
}
#: Those in which no other object of the class is in view.
AP_SEQUENCES = ("blackswan", "cows", "dog", "drift-chicane", "parkour", "motocross-jump")
