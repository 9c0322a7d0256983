package job

// This file reads what a job's YAML says about containers: image, services and
// the variables they are expanded with. It promises that nothing an author
// asked for is dropped in silence: what it does not know, it names.

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"envrole/executor/job/strictjson"
	"envrole/roles/fault"
	"envrole/roles/seal"
)

// Containers is the part of a payload that says which containers a job wants.
// All of it is the author's word. Nothing in it is expanded or checked.
type Containers struct {
	Image    Image // Name is "" if the job names none
	Services []Image
	// Variables are all of the job's, in the payload's order, duplicates
	// included: of two with one key the later counts.
	Variables []ContainerVariable
	// Transfers says that the job has a cache or artifacts, its own or others'.
	Transfers bool
	// Unsupported names the keywords that were given and that no base of
	// EnvRole knows or can honour, as "image:ports".
	Unsupported []string
}

// Image is image: or one entry of services:.
type Image struct {
	Name       string
	Alias      string // services only; several are separated by spaces or commas
	Entrypoint []string
	Command    []string // services only
	Variables  []ContainerVariable
	Pull       []string // policies in order; none is the runner's own
	Platform   string   // docker:platform
	User       string   // docker:user
}

// ContainerVariable is a CI/CD variable that containers may see, or that a name
// is expanded with.
type ContainerVariable struct {
	Key    string
	Value  seal.Secret
	Public bool // no secret, by GitLab's word
	File   bool // the job gets the path of a file with the value
	Raw    bool // the value is not expanded
}

// ReadContainers reads the file that JOB_RESPONSE_FILE names. Faults are as
// ReadPayload's.
func ReadContainers(path string) (*Containers, error) {
	top, r, err := open(path)
	if err != nil {
		return nil, err
	}
	c := containers(r, top)
	if r.err != nil {
		return nil, malformed(r.err)
	}
	return c, nil
}

func containers(r *reader, top map[string]strictjson.Value) *Containers {
	c := &Containers{Variables: r.containerVariables(top, "variables")}
	for _, key := range []string{"cache", "artifacts", "dependencies"} {
		c.Transfers = c.Transfers || len(r.array(top, key)) > 0
	}
	u := &unsupported{redacted: r.redacted}
	if v := r.object(top, "image"); v != nil {
		c.Image = r.image(v, "image", u)
	}
	for i, element := range r.array(top, "services") {
		at := fmt.Sprintf("services[%d]", i)
		o, err := element.Object()
		if err != nil {
			r.fail(at, err)
			return c
		}
		c.Services = append(c.Services, r.image(o, at, u))
	}
	// The runner stops and resumes containers for these; nothing here can.
	for key, v := range r.object(top, "suspend_options") {
		if !empty(v) {
			u.add("suspend_options", key)
		}
	}
	slices.Sort(u.names)
	c.Unsupported = u.names
	return c
}

// unsupported collects the keywords that are refused by name.
type unsupported struct {
	names    []string
	redacted func(string) string
}

func (u *unsupported) add(at, key string) {
	u.names = append(u.names, at+":"+plainKey(u.redacted(key)))
}

// plainKey is a key of the payload as an error may repeat it.
func plainKey(key string) string {
	for _, c := range key {
		if (c < 'a' || c > 'z') && c != '_' {
			return Quote(key)
		}
	}
	return key
}

func (r *reader) image(o map[string]strictjson.Value, at string, u *unsupported) Image {
	service := at != "image"
	im := Image{Name: r.text(o, "name"), Entrypoint: r.texts(o, "entrypoint"), Pull: r.texts(o, "pull_policy")}
	known := []string{"name", "entrypoint", "pull_policy", "executor_opts"}
	if service {
		im.Alias, im.Command = r.text(o, "alias"), r.texts(o, "command")
		im.Variables = r.containerVariables(o, "variables")
		known = append(known, "alias", "command", "variables")
	}
	for key, v := range o {
		if !slices.Contains(known, key) && !empty(v) {
			u.add(at, key)
		}
	}
	opts := r.object(o, "executor_opts")
	for key, v := range opts {
		switch {
		case key == "docker" || empty(v):
		case key == "kubernetes":
			// Written for another executor. The user there is a wish that docker
			// could not keep unless the job says it for docker too.
			for name, v := range r.object(opts, key) {
				if !empty(v) && (name != "user" || empty(r.object(opts, "docker")["user"])) {
					u.add(at+":kubernetes", name)
				}
			}
		default:
			u.add(at, key)
		}
	}
	docker := r.object(opts, "docker")
	im.Platform, im.User = r.text(docker, "platform"), r.textOrNumber(docker, "user")
	for key, v := range docker {
		if key != "platform" && key != "user" && !empty(v) {
			u.add(at+":docker", key)
		}
	}
	return im
}

// empty says whether a value asks for nothing.
func empty(v strictjson.Value) bool {
	if !v.Present() || v.Null() {
		return true
	}
	switch string(bytes.Trim(v, " \t\r\n")) {
	case `""`, "false", "0":
		return true
	}
	if list, err := v.Array(); err == nil {
		return !slices.ContainsFunc(list, func(v strictjson.Value) bool { return !empty(v) })
	}
	if members, err := v.Object(); err == nil {
		for _, member := range members {
			if !empty(member) {
				return false
			}
		}
		return true
	}
	return false
}

// textOrNumber reads a user: authors may write 1000 or "1000".
func (r *reader) textOrNumber(in map[string]strictjson.Value, key string) string {
	v := in[key]
	if !v.Present() || v.Null() {
		return ""
	}
	if n, err := v.Int(); err == nil && n >= 0 {
		return fmt.Sprint(n)
	}
	return r.text(in, key)
}

func (r *reader) array(in map[string]strictjson.Value, key string) []strictjson.Value {
	v := in[key]
	if !v.Present() || v.Null() {
		return nil
	}
	list, err := v.Array()
	if err != nil {
		r.fail(key, err)
	}
	return list
}

// containerVariables reads a list of variables with their values as they are:
// they must expand to what the runner expands them to.
func (r *reader) containerVariables(in map[string]strictjson.Value, key string) []ContainerVariable {
	var out []ContainerVariable
	for _, element := range r.array(in, key) {
		o, err := element.Object()
		if err != nil {
			r.fail(key, err)
			return nil
		}
		set := func(name string) bool { b := r.flag(o, name); return b != nil && *b }
		out = append(out, ContainerVariable{
			Key: r.rawText(o, "key"), Value: seal.NewSecret(r.rawText(o, "value")),
			Public: set("public"), File: set("file"), Raw: set("raw"),
		})
	}
	return out
}

// UnsupportedError is the refusal for c.Unsupported, or nil if there is none.
func (c *Containers) UnsupportedError() error {
	if len(c.Unsupported) == 0 {
		return nil
	}
	return fault.New(fault.Refused, "run the job in containers with", strings.Join(c.Unsupported, ", "),
		errors.New("the job's YAML asks for what this executor cannot do"),
		"Remove the keyword from the job, or run the job on a runner whose executor knows it.")
}
