package extract

// Racing says that the race detector runs, whose own memory stays.
const Racing = racing
