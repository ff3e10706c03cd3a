package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/kakitome/kakitome/plugins/proto"
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
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("more than one JSON value")
		}
	}
	if err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) && wrongType.Field != "" {
			return config{}, []*proto.Error{configError(wrongType.Field, "is of the wrong type")}
		}
		return config{}, []*proto.Error{configError("", "want one JSON object with latency_ms and fault, and nothing else")}
	}
	var faults []*proto.Error
	if c.LatencyMS < 0 || c.LatencyMS > maxLatencyMS {
		faults = append(faults, configError("latency_ms", "want 0 to 60000"))
	}
	switch c.Fault {
	case "", faultRefuse, faultDie, faultHang, faultShort:
	default:
		faults = append(faults, configError("fault", "want refuse, die, hang, short or nothing"))
	}
	return c, faults
}

func configError(field, message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_CONFIG, Code: "bad_config", Field: field, Message: message}
}
