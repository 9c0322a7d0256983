// Package schema is how a base executor describes its own table of the
// configuration file, and how it reads what stood there. It imports nothing:
// the lean stage programs link it without the file's reader.
package schema

import "time"

// Kind is the type of a key's value.
type Kind uint8

// The kinds of values that a base's table may hold.
const (
	Text     Kind = iota // "abc"
	Texts                // ["abc", "def"]
	Flag                 // true
	Duration             // "30m"
	Number               // 512
	Pairs                // { name = "value" }
)

// Key describes one key. Name must not be taken twice in a table.
type Key struct {
	Name    string
	Kind    Kind
	Default string   // as it is written in the file, without quotes
	OneOf   []string // the texts that work; none means any
	// Min and Max bound a duration, both included; 0 is no bound.
	Min, Max time.Duration
	// Least and Most bound a number, both included.
	Least, Most int64
	// Check gives what is wrong with a text (of a list or a table of pairs:
	// with each), and what to write instead, or "".
	Check func(string) string
	// EmptyOK accepts an empty list, where that can only mean "none".
	EmptyOK bool
}

// Table describes [executor.NAME].
type Table struct {
	Name string // the word for executor.base
	Keys []Key
	// Deliveries are the ways in which the base can give a session to its
	// scripts, of roles.Delivery*.
	Deliveries []string
	// PassAWS says that executor.pass_env may name the runner's own AWS_*
	// variables: they go to a program of the administrator's, not to jobs.
	PassAWS bool
	// Check notes what is wrong between keys, or deserves a look. It is called
	// for every table, chosen or not, and may be nil.
	Check func(v Values, use Use, n Notes)
}

// Use is what a check may know of the rest of the file.
type Use struct {
	Chosen bool // executor.base names this table
	Lends  bool // there is a [[role]] table
}

// Values reads a table. A key that the file leaves out has its default; the
// name must be one of the table's keys.
type Values interface {
	Text(key string) string
	Texts(key string) []string
	Flag(key string) bool
	Duration(key string) time.Duration
	Number(key string) int64
	Pairs(key string) map[string]string
	Given(key string) bool
}

// Notes takes what a check found. The line of the key is added to it.
type Notes interface {
	Problem(key, msg string)
	Warn(key, msg string)
}
