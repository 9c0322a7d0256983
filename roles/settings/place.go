package settings

// place is where a key, a table or an array element stands in the source text.
// The places of a file form the same tree as its values; they serve messages
// and the search for duplicates, and no value is ever taken from them.
type place struct {
	line   int // 1-based
	origin origin
	keys   map[string]*place
	items  []*place // elements of an array, or of an array of tables
}

// origin says how a place came to be.
type origin uint8

const (
	implied  origin = iota // by a longer name: a in [a.b] or a.b = 1
	byHeader               // [a]
	byHeads                // [[a]]
	byValue                // a = ...
)

// key is the place of a key below p; p itself (the nearest thing known) if
// there is none. It may be called on nil.
func (p *place) key(name string) *place {
	if p == nil || p.keys[name] == nil {
		return p
	}
	return p.keys[name]
}

// item is the place of the i-th element of p, or p itself.
func (p *place) item(i int) *place {
	if p == nil || i < 0 || i >= len(p.items) {
		return p
	}
	return p.items[i]
}

// lineOf is the line of a place, 0 where it is not known.
func (p *place) lineOf() int {
	if p == nil {
		return 0
	}
	return p.line
}

// child finds or makes the place of a key below p.
func (p *place) child(name string, line int) *place {
	if c := p.keys[name]; c != nil {
		return c
	}
	if p.keys == nil {
		p.keys = make(map[string]*place)
	}
	c := &place{line: line}
	p.keys[name] = c
	return c
}

// last is the table that a longer name continues in: the newest element of an
// array of tables, else the place itself.
func (p *place) last() *place {
	if p.origin == byHeads && len(p.items) > 0 {
		return p.items[len(p.items)-1]
	}
	return p
}
