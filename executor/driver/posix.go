package driver

import "strings"

// What surrounds the exports keeps a shell that traces (set -x, by its options,
// by SHELLOPTS or BASH_ENV) or repeats what it reads (set -v) from showing them.
// The shell's options wait in $1 meanwhile, before the script's own arguments,
// so that no variable is left behind. Each is one line: a shell reads no further
// before it has obeyed it. What they write themselves goes to a closed file: a
// minimal root may have no /dev/null.
const (
	hush   = `{ set -- "$-" ${1+"$@"}; set +xv; } 2>&-` + "\n"
	unhush = `{ case $1 in *v*x*|*x*v*) shift; set -xv ;; *x*) shift; set -x ;; *v*) shift; set -v ;; *) shift ;; esac; } 2>&-` + "\n"
)

// posixExports appends lines that export vars in bash, dash and every other
// POSIX shell, whatever its options.
func posixExports(head []byte, vars []variable) []byte {
	head = append(head, hush...)
	for _, v := range vars {
		head = append(head, "export "+v.name+"="+posixQuote(v.value)+"\n"...)
	}
	return append(head, unhush...)
}

// posixQuote writes a value so that a shell reads exactly its bytes: within
// single quotes nothing but their end means anything.
func posixQuote(v string) string { return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'" }
