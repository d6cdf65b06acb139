"""A webhook: a person, or what wakes a person, is told of the transitions worth telling. `message` says what is told,
`post` how it gets there. Nothing here may delay or change an incident."""
