package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// box writes a configuration of a rehearsal that has no fault and returns its text.
func box(t *testing.T) (dir, text string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name string, mode os.FileMode, data string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(data), mode))
		return path
	}
	password, program := write("password", 0o600, "secret"), write("module", 0o755, "#!/bin/true\n")
	write("master.key", 0o600, "")
	text = `[data]
dir = "` + dir + `/data"
master_key = "` + dir + `/master.key"
[listen]
links = "127.0.0.1:8080"
[links]
base_url = "http://127.0.0.1:8080"
[numbers]
ranges = "ranges.csv"
[[numbers.carrier]]
name = "docomo"
simulated = true
senders = ["phone"]
[[numbers.carrier]]
name = "au"
simulated = true
senders = ["phone"]
[[bind]]
name = "docomo-1"
carrier = "docomo"
address = "127.0.0.1:2775"
system_id = "kakitome"
password_file = "` + password + `"
`
	for _, name := range []string{"auth/knowledge", "auth/otp_sms", "render/standard"} {
		text += "[[module]]\nname = \"" + name + "\"\npath = \"" + program + "\"\nsha256 = \"" + strings.Repeat("0", 64) + "\"\n"
	}
	return dir, text
}

func TestConfigurationWithoutFault(t *testing.T) {
	_, text := box(t)
	c, err := parse("kakitome.toml", []byte(text))
	require.NoError(t, err)
	require.True(t, c.Simulated())
	require.Equal(t, 100, c.Binds[0].Window, "the default")
}

func TestEveryFaultIsReportedWithItsLine(t *testing.T) {
	_, text := box(t)
	lines := strings.Split(text, "\n")
	find := func(prefix string, nth int) int {
		for i, l := range lines {
			if strings.HasPrefix(l, prefix) {
				if nth--; nth == 0 {
					return i + 1
				}
			}
		}
		t.Fatalf("no line %q", prefix)
		return 0
	}
	spoil := map[int]string{
		find("links =", 1):    `links = "nowhere"`,
		find("simulated", 2):  `simulated = false`,
		find("address", 1):    `address = "smsc.example.jp:2775"`,
		find("sha256", 2):     `sha256 = "abc"`,
		find("ranges", 1):     `rangers = "ranges.csv"`,
		find("system_id", 1):  `system_id = "0123456789abcdef"`,
		find("master_key", 1): strings.Replace(lines[find("master_key", 1)-1], "/master.key", "/data/master.key", 1),
	}
	for n, l := range spoil {
		lines[n-1] = l
	}
	_, err := parse("kakitome.toml", []byte(strings.Join(lines, "\n")))
	var faults *Faults
	require.True(t, errors.As(err, &faults))
	at := map[int]bool{}
	for _, f := range faults.List {
		at[f.Line] = true
	}
	for n, l := range spoil {
		require.True(t, at[n], "no fault for line %d %q in\n%v", n, l, err)
	}
}

func TestWrongTypeHidesNoOtherFault(t *testing.T) {
	_, text := box(t)
	text = strings.Replace(text, "[listen]\n", "min_free_mb = \"much\"\nwrong = 1\n[listen]\nconsole = [\n  1,\n]\n", 1)
	text = strings.Replace(text, `links = "127.0.0.1:8080"`, `links = "nowhere"`, 1)
	text += "[log]\nlevel = 5\n"
	_, err := parse("kakitome.toml", []byte(text))
	last := strings.Count(text, "\n")
	require.EqualError(t, err, strings.Join([]string{
		`kakitome.toml:4: data.min_free_mb: cannot decode TOML string into int`,
		`kakitome.toml:5: unknown key "data.wrong"`,
		`kakitome.toml:7: listen.console: cannot decode TOML array into string`,
		`kakitome.toml:10: listen.links: "nowhere" must be host:port or :port`,
		fmt.Sprintf(`kakitome.toml:%d: log.level: cannot decode TOML integer into string`, last),
	}, "\n"))
	for _, twice := range []string{"[data]\n", "[[data]]\n", "data = 5\n"} {
		_, err = parse("kakitome.toml", []byte(text+twice))
		require.ErrorContains(t, err, fmt.Sprintf("kakitome.toml:%d: ", last+1))
	}
}

func TestPrivateKeyReadableByOthersIsRefused(t *testing.T) {
	dir, text := box(t)
	key := filepath.Join(dir, "kk.key")
	require.NoError(t, os.WriteFile(key, nil, 0o600))
	text += "[[certificate]]\ncert = \"kk.pem\"\nkey = \"" + key + "\"\n"
	_, err := parse("kakitome.toml", []byte(text))
	require.NotContains(t, err.Error(), "may be read by others")
	require.NoError(t, os.Chmod(key, 0o640))
	_, err = parse("kakitome.toml", []byte(text))
	require.ErrorContains(t, err, "certificate[0].key: "+key+" may be read by others (mode 0640, needs 0600)")
}

func TestPasswordReadableByOthersIsRefused(t *testing.T) {
	dir, text := box(t)
	require.NoError(t, os.Chmod(filepath.Join(dir, "password"), 0o644))
	_, err := parse("kakitome.toml", []byte(text))
	require.ErrorContains(t, err, "may be read by others")
}

func TestFilesOfABindsTLSAreChecked(t *testing.T) {
	_, text := box(t)
	text = strings.Replace(text, "system_id = ", "tls = true\ntls_ca = \"/nonexistent.pem\"\nsystem_id = ", 1)
	_, err := parse("kakitome.toml", []byte(text))
	require.ErrorContains(t, err, "bind[0].tls: open /nonexistent.pem")
}

func TestBrokenSyntaxNamesTheLine(t *testing.T) {
	_, err := parse("kakitome.toml", []byte("[data]\ndir = \n"))
	require.ErrorContains(t, err, "kakitome.toml:2: ")
}

func TestSampleHasOnlyFaultsOfItsExampleFiles(t *testing.T) {
	_, err := parse("sample", SampleTOML())
	var faults *Faults
	require.True(t, errors.As(err, &faults))
	for _, f := range faults.List {
		require.NotContains(t, f.Text, "unknown key")
		require.NotZero(t, f.Line, f.Text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(SampleTOML())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		_, _ = parse("fuzz", data)
	})
}
