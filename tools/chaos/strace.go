package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// call is one system call as strace saw it: begun and over, and what it gave.
type call struct {
	thread     int
	name, args string
	result     string // "0", "-1 EIO (Input/output error) (INJECTED)", "?"
	begun      time.Duration
	over       time.Duration // begun plus what strace says it took; 0: it never came back
}

// The lines of strace -f -ttt -T:
//
//	1234 1700000000.123456 msync(0x7f…, 4096, MS_SYNC) = 0 <0.000123>
//	1234 1700000000.123456 msync(0x7f…, 4096, MS_SYNC <unfinished ...>
//	1234 1700000000.223456 <... msync resumed>) = 0 <0.100000>
var (
	straceLine    = regexp.MustCompile(`^(\d+) +(\d+)\.(\d{6}) (.*)$`)
	straceCall    = regexp.MustCompile(`^(\w+)\((.*)\) += (.*?)(?: <(\d+\.\d+)>)?$`)
	straceBegun   = regexp.MustCompile(`^(\w+)\((.*?)(?:,? )?<unfinished \.\.\.>$`)
	straceResumed = regexp.MustCompile(`^<\.\.\. (\w+) resumed>(.*)\) += (.*?)(?: <(\d+\.\d+)>)?$`)
)

// readCalls reads what strace -f -ttt -T wrote, in the order in which the calls began. Lines that tell of signals, ends of
// threads and the like are passed over; a line that is none of strace's is an error.
func readCalls(r io.Reader) ([]call, error) {
	var calls []call
	unfinished := map[int]int{} // by thread, in calls
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		line := straceLine.FindStringSubmatch(in.Text())
		if line == nil {
			return nil, fmt.Errorf("line %d is not strace's: %.80q", n, in.Text())
		}
		thread, err := strconv.Atoi(line[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		at, err := time.ParseDuration(line[2] + "." + line[3] + "s")
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch text := line[4]; {
		case strings.HasPrefix(text, "<... "):
			m := straceResumed.FindStringSubmatch(text)
			i, ok := unfinished[thread]
			if m == nil || !ok || calls[i].name != m[1] {
				continue // its beginning was before the trace
			}
			delete(unfinished, thread)
			calls[i].args, calls[i].result, calls[i].over = calls[i].args+m[2], m[3], at
			if took, err := time.ParseDuration(m[4] + "s"); err == nil {
				calls[i].over = max(at, calls[i].begun+took)
			}
		case strings.HasSuffix(text, "<unfinished ...>"):
			if m := straceBegun.FindStringSubmatch(text); m != nil {
				unfinished[thread] = len(calls)
				calls = append(calls, call{thread: thread, name: m[1], args: m[2], result: "?", begun: at})
			}
		default:
			m := straceCall.FindStringSubmatch(text)
			if m == nil {
				continue // --- SIGURG …, +++ exited …
			}
			took, err := time.ParseDuration(m[4] + "s")
			if err != nil {
				continue // a call without its time did not come back
			}
			calls = append(calls, call{thread: thread, name: m[1], args: m[2], result: m[3], begun: at, over: at + took})
		}
	}
	return calls, in.Err()
}

// ok reports whether the call came back without an error.
func (c *call) ok() bool { return c.over > 0 && !strings.HasPrefix(c.result, "-") && c.result != "?" }

// injected reports whether strace made it fail.
func (c *call) injected() bool { return strings.HasSuffix(c.result, "(INJECTED)") }

// file is the file that a call's first argument is about: by its descriptor (strace -yy writes its name behind it) or by
// the address of a mapping. Empty: not known.
func (c *call) file(maps []mapping) string {
	first, _, _ := strings.Cut(c.args, ", ")
	if addr, err := strconv.ParseUint(strings.TrimPrefix(first, "0x"), 16, 64); strings.HasPrefix(first, "0x") && err == nil {
		for _, m := range maps {
			if addr >= m.from && addr < m.to {
				return m.file
			}
		}
		return ""
	}
	_, name, _ := strings.Cut(first, "<")
	return strings.TrimSuffix(name, ">")
}

// mapping is a file in a process's memory.
type mapping struct {
	from, to uint64
	file     string
}

// readMaps reads /proc/PID/maps; mappings without a file are left out.
func readMaps(r io.Reader) ([]mapping, error) {
	var all []mapping
	in := bufio.NewScanner(r)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) < 6 || !strings.HasPrefix(f[5], "/") {
			continue
		}
		var m mapping
		if _, err := fmt.Sscanf(f[0], "%x-%x", &m.from, &m.to); err != nil {
			return nil, fmt.Errorf("mapping %q: %w", f[0], err)
		}
		m.file = f[5]
		all = append(all, m)
	}
	return all, in.Err()
}

// answer is a 202 of the API and what was synced while it was made.
type answer struct {
	conn            string
	asked, answered time.Duration
	synced          string        // file whose sync came back between the two; "" when there was none: the promise is broken
	over            time.Duration // of that sync, the last of them
}

// answers pairs each POST of a message that was read from a connection with the 202 written to it, and finds the sync of
// a file of the log that began after the one and was over before the other.
func answers(calls []call, maps []mapping) (all []answer) {
	asked := map[string]time.Duration{}
	for i := range calls {
		c := &calls[i]
		conn := c.file(nil)
		switch {
		case c.name == "read" && c.ok() && strings.HasPrefix(conn, "TCP") && strings.Contains(c.args, `"POST /v1/messages`):
			asked[conn] = c.over
		case c.name == "write" && strings.HasPrefix(conn, "TCP") && strings.Contains(c.args, `"HTTP/1.1 202`):
			from, ok := asked[conn]
			if !ok {
				continue // asked before the trace
			}
			delete(asked, conn)
			a := answer{conn: conn, asked: from, answered: c.begun}
			for j := range calls {
				s := &calls[j]
				if s.name != "msync" && s.name != "fsync" && s.name != "fdatasync" {
					continue
				}
				if file := s.file(maps); s.ok() && s.begun >= a.asked && s.over <= a.answered && strings.HasSuffix(file, ".vlog") {
					a.synced, a.over = file, max(a.over, s.over)
				}
			}
			all = append(all, a)
		}
	}
	return all
}
