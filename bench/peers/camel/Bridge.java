// Apache Camel, an integration framework that many bridges are made of: HTTP in, Kafka out, answered when all in-sync replicas have it.
// Environment: PORT, KAFKA_BOOTSTRAP, KAFKA_TOPIC.
package bench;

import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.platform.http.vertx.VertxPlatformHttpServer;
import org.apache.camel.component.platform.http.vertx.VertxPlatformHttpServerConfiguration;
import org.apache.camel.main.Main;

public class Bridge extends RouteBuilder {
    @Override
    public void configure() throws Exception {
        VertxPlatformHttpServerConfiguration http = new VertxPlatformHttpServerConfiguration();
        http.setBindHost("127.0.0.1");
        http.setBindPort(Integer.parseInt(System.getenv("PORT")));
        getContext().addService(new VertxPlatformHttpServer(http));
        from("platform-http:/metadata?httpMethodRestrict=POST")
            .convertBodyTo(byte[].class)
            .removeHeaders("*")
            .to("kafka:" + System.getenv("KAFKA_TOPIC") + "?brokers=" + System.getenv("KAFKA_BOOTSTRAP") + "&requestRequiredAcks=all"
                + "&valueSerializer=org.apache.kafka.common.serialization.ByteArraySerializer")
            .removeHeaders("*")
            .setBody(constant("{\"status\":\"ok\"}"));
    }

    public static void main(String[] args) throws Exception {
        new Main(Bridge.class).run(args);
    }
}
