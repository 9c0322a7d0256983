package engine

// This file settles by which ports a service is seen to be ready.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"envrole/executor/docker"
)

// maxPorts bounds the ports that are tried of one service: its image, which the
// author chose, may name thousands, and each is tried at once.
const maxPorts = 16

// healthPort is the variable by which a service names one port, as under GitLab
// Runner's own docker executor.
const healthPort = "HEALTHCHECK_TCP_PORT"

// readyPorts are the ports one of which must answer. notes are for the log.
func readyPorts(c docker.Container, im image) (ports, notes []string) {
	for name, value := range c.Env {
		if !strings.EqualFold(name, healthPort) {
			continue
		}
		if port, ok := portNumber(value); ok {
			return []string{strconv.Itoa(port)}, nil
		}
		notes = append(notes, fmt.Sprintf("warning: service %s: %s is no number of a port", im.name, name))
	}
	var numbers []int
	for _, s := range im.ports {
		if port, ok := portNumber(s); ok {
			numbers = append(numbers, port)
		}
	}
	slices.Sort(numbers)
	if n := len(numbers); n > maxPorts {
		numbers = numbers[:maxPorts]
		notes = append(notes, fmt.Sprintf("service %s: the lowest %d of %d exposed ports are tried; the variable %s of the service names one", im.name, maxPorts, n, healthPort))
	}
	for _, port := range numbers {
		ports = append(ports, strconv.Itoa(port))
	}
	return ports, notes
}

func portNumber(s string) (int, bool) {
	port, err := strconv.ParseUint(s, 10, 16)
	return int(port), err == nil && port > 0
}
