package roles

// Pattern is a text in which * stands for any run of characters, the empty one
// and / included; everything else is literal. It matches the whole string and
// is case-sensitive, like GitLab's environment scopes.
type Pattern string
