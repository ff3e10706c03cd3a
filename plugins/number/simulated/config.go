package main

import (
	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

// config is an instance's configuration: config.schema.json.
type config struct {
	LatencyMS int    `json:"latency_ms"`
	Fault     string `json:"fault"`
}

const (
	faultRefuse = "refuse"
	faultDie    = "die"
	faultHang   = "hang"
	faultShort  = "short"

	maxLatencyMS = 60_000
)

// parseConfig reports every fault, none with a value in it.
func parseConfig(data []byte) (config, []*proto.Error) {
	var c config
	faults := sdk.ParseConfig(data, &c)
	if faults != nil {
		return config{}, faults
	}
	if c.LatencyMS < 0 || c.LatencyMS > maxLatencyMS {
		faults = append(faults, sdk.ConfigError("latency_ms", "want 0 to 60000"))
	}
	switch c.Fault {
	case "", faultRefuse, faultDie, faultHang, faultShort:
	default:
		faults = append(faults, sdk.ConfigError("fault", "want refuse, die, hang, short or nothing"))
	}
	return c, faults
}
