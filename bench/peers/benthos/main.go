// Benthos, the MIT-licensed engine of Redpanda Connect, with its http_server input, and an output to Kafka by franz-go, which Redpanda
// Connect's own kafka_franz output uses too. Redpanda Connect itself is not in the Go module proxy.
package main

import (
	"context"
	"errors"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

type kafka struct {
	broker, topic string
	client        *kgo.Client
}

func (k *kafka) Connect(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.broker), kgo.DefaultProduceTopic(k.topic), kgo.RequiredAcks(kgo.AllISRAcks()))
	if err != nil {
		return err
	}
	k.client = client
	return client.Ping(ctx)
}

// The request is answered when this returns: when all in-sync replicas have its record.
func (k *kafka) Write(ctx context.Context, message *service.Message) error {
	if k.client == nil {
		return errors.New("not connected")
	}
	value, err := message.AsBytes()
	if err != nil {
		return err
	}
	return k.client.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr()
}

func (k *kafka) Close(context.Context) error {
	if k.client != nil {
		k.client.Close()
	}
	return nil
}

func main() {
	spec := service.NewConfigSpec().Field(service.NewStringField("broker")).Field(service.NewStringField("topic")).
		Field(service.NewIntField("max_in_flight").Default(256))
	err := service.RegisterOutput("kafka", spec, func(conf *service.ParsedConfig, _ *service.Resources) (service.Output, int, error) {
		broker, err := conf.FieldString("broker")
		if err != nil {
			return nil, 0, err
		}
		topic, err := conf.FieldString("topic")
		if err != nil {
			return nil, 0, err
		}
		inFlight, err := conf.FieldInt("max_in_flight")
		return &kafka{broker: broker, topic: topic}, inFlight, err
	})
	if err != nil {
		panic(err)
	}
	service.RunCLI(context.Background())
}
