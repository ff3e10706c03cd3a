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
	in.Buffer(nil, 8<<20) // a byte takes up to four
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
			if m[2] != "" { // what a read got
				calls[i].args = strings.TrimRight(calls[i].args, ", ") + ", " + m[2]
			}
			calls[i].result, calls[i].over = m[3], at
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

// bytes are those that a read got or a write gave away, as far as the kernel took them; the trace must not have cut them off.
func (c *call) bytes() []byte {
	n, err := strconv.Atoi(c.result)
	_, text, ok := strings.Cut(c.args, ", \"")
	if err != nil || !ok {
		return nil
	}
	var b []byte
	for i := 0; i < len(text) && text[i] != '"' && len(b) < n; i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b = append(b, text[i])
			continue
		}
		i++
		if j := strings.IndexByte("abtnvfr", text[i]); j >= 0 {
			b = append(b, byte(7+j)) // \a to \r stand in this order in ASCII
			continue
		}
		digits := 0
		for digits < 3 && i+digits < len(text) && text[i+digits] >= '0' && text[i+digits] <= '7' {
			digits++
		}
		if digits == 0 { // \" and \\
			b = append(b, text[i])
			continue
		}
		v, _ := strconv.ParseUint(text[i:i+digits], 8, 8) // digits; more than a byte is none of strace's
		b, i = append(b, byte(v)), i+digits-1
	}
	return b
}

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
