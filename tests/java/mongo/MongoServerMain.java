import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.exception.MongoServerError;
import io.netty.channel.Channel;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;

/**
 * MongoServerMain PORT FAULT_FILE [KEY_FILE CERT_FILE]: mongo-java-server in memory on 127.0.0.1, with TLS when given an
 * RSA key (PKCS #8) and its certificate.
 *
 * While FAULT_FILE exists, updates fail as its one line says: "refuse CODE TEXT" does nothing and answers the error, as a
 * server without a primary does; "unconfirmed CODE TEXT" does it and says that a majority has not got it.
 */
public class MongoServerMain {
  private static class Backend extends MemoryBackend {
    private final Path faultFile;

    Backend(Path faultFile) {
      this.faultFile = faultFile;
    }

    @Override
    public Document handleCommand(Channel channel, String database, String command, Document query) {
      if (!command.equals("update") || !Files.exists(faultFile)) {
        return super.handleCommand(channel, database, command, query);
      }
      String[] fault;
      try {
        fault = Files.readString(faultFile).strip().split(" ", 3);
      } catch (java.io.IOException gone) {
        return super.handleCommand(channel, database, command, query);
      }
      int code = Integer.parseInt(fault[1]);
      if (fault[0].equals("refuse")) {
        throw new MongoServerError(code, fault[2]);
      }
      Document answer = super.handleCommand(channel, database, command, query);
      answer.put("writeConcernError", new Document("code", code).append("errmsg", fault[2]));
      return answer;
    }
  }

  private static PrivateKey readKey(Path file) throws Exception {
    String base64 = Files.readString(file).replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
    return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(base64)));
  }

  private static X509Certificate readCertificate(Path file) throws Exception {
    try (InputStream in = Files.newInputStream(file)) {
      return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
    }
  }

  public static void main(String[] arguments) throws Exception {
    MongoServer server = new MongoServer(new Backend(Path.of(arguments[1])));
    if (arguments.length > 2) {
      server.enableSsl(readKey(Path.of(arguments[2])), null, readCertificate(Path.of(arguments[3])));
    }
    server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
    Thread.currentThread().join();
  }
}
