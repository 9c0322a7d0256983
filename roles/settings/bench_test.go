package settings

import (
	"fmt"
	"strings"
	"testing"
)

func manyRules(n int) []byte {
	var b strings.Builder
	b.WriteString(head)
	for i := range n {
		fmt.Fprintf(&b, "[[role]]\nname = \"rule %d\"\nenvironments = [\"production\", \"production/*\"]\nprojects = [\"acme/team-%d/web\"]\nproject_ids = [%d]\n"+
			"refs = [\"main\"]\nrole_arn = \"arn:aws:iam::111122223333:role/deploy-{project_id}\"\nduration = \"30m\"\ntags = { team = \"t%d\" }\n", i, i, i+1, i)
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1, 10, 10000} {
		data := manyRules(n)
		b.Run(fmt.Sprint(n, "rules"), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("f", data, testBases()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLocate(b *testing.B) {
	data := string(manyRules(10000))
	for b.Loop() {
		locate(data)
	}
}
