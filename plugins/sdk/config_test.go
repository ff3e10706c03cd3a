package sdk

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

type sampleConfig struct {
	Host   string `json:"host"`
	Secret string `json:"secret"`
	Limit  int    `json:"limit"`
}

func TestConfigurationsAreReadStrictly(t *testing.T) {
	for data, field := range map[string]string{
		`{"limit":"hunter22"}`: "limit", `{"secret":5}`: "secret",
		`{"passwort":"hunter22"}`: "", `{"secret":"hunter22"} {}`: "", `{"secret":"hunter22"`: "", `["hunter22"]`: "", `hunter22`: "", ``: "", `null x`: "",
	} {
		var c sampleConfig
		faults := ParseConfig([]byte(data), &c)
		require.Len(t, faults, 1, data)
		require.Equal(t, field, faults[0].Field, data)
		require.Equal(t, proto.ErrorClass_CONFIG, faults[0].Class)
		require.NotContains(t, faults[0].Message, "hunter22")
	}
	var c sampleConfig
	require.Empty(t, ParseConfig([]byte(" {\"host\":\"h\",\"limit\":7}\n"), &c))
	require.Equal(t, sampleConfig{Host: "h", Limit: 7}, c)
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"host":"h","secret":"0123456789abcdef"}`))
	f.Add([]byte(`{"secret":0123456789}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c sampleConfig
		for _, fault := range ParseConfig(data, &c) {
			if fault.Message == "" || len(c.Secret) > 8 && strings.Contains(fault.Message, c.Secret) {
				t.Fatal(fault)
			}
		}
	})
}
