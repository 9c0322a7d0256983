package roles

import (
	"encoding/json"
	"fmt"
	"strings"
)

// repeatedKey refuses a JSON text in which a key stands twice in one object:
// readers differ in which of the two they believe. The text is valid JSON.
func repeatedKey(text string) error {
	dec := json.NewDecoder(strings.NewReader(text))
	var read func() error
	read = func() error {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		open, ok := token.(json.Delim)
		if !ok {
			return nil
		}
		seen := map[string]bool{}
		for dec.More() {
			if open == '{' {
				key, err := dec.Token()
				if err != nil {
					return err
				}
				name, _ := key.(string)
				if seen[name] {
					return fmt.Errorf("the key %s stands twice in one object", quote(name))
				}
				seen[name] = true
			}
			if err := read(); err != nil {
				return err
			}
		}
		_, err = dec.Token() // the closing bracket
		return err
	}
	return read()
}
